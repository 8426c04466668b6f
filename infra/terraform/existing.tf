# What is there already, and looked up.

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

data "aws_region" "this" {}

data "aws_ecs_cluster" "this" {
  cluster_name = var.cluster_name
}

data "aws_lb_listener" "this" {
  arn = var.listener_arn
}

data "aws_lb" "this" {
  arn = data.aws_lb_listener.this.load_balancer_arn
}

data "aws_subnet" "this" {
  for_each = toset(var.subnet_ids)

  id = each.value
}

locals {
  account   = data.aws_caller_identity.this.account_id
  partition = data.aws_partition.this.partition
  region    = data.aws_region.this.region
  vpc_id    = data.aws_lb.this.vpc_id
  zones     = distinct([for subnet in data.aws_subnet.this : subnet.availability_zone])
  tags      = merge({ Service = var.name }, var.tags)
}

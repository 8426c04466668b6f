# An account as the tests see it: what is looked up, and ARNs that look like some.

mock_data "aws_caller_identity" {
  defaults = { account_id = "123456789012" }
}

mock_data "aws_partition" {
  defaults = { partition = "aws" }
}

mock_data "aws_region" {
  defaults = { region = "eu-central-1" }
}

mock_data "aws_ecs_cluster" {
  defaults = { arn = "arn:aws:ecs:eu-central-1:123456789012:cluster/main", status = "ACTIVE" }
}

mock_data "aws_lb_listener" {
  defaults = {
    arn               = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener/app/public/0123456789abcdef/fedcba9876543210"
    load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/public/0123456789abcdef"
  }
}

mock_data "aws_lb" {
  defaults = {
    arn             = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/public/0123456789abcdef"
    arn_suffix      = "app/public/0123456789abcdef"
    dns_name        = "public-1.eu-central-1.elb.amazonaws.com"
    zone_id         = "Z215JYRZR1TBD5"
    vpc_id          = "vpc-0123456789abcdef0"
    security_groups = ["sg-0a1b2c3d4e5f60001"]
    subnets         = ["subnet-1a", "subnet-1b"]
    idle_timeout    = 60
  }
}

mock_data "aws_subnet" {
  defaults = { vpc_id = "vpc-0123456789abcdef0", availability_zone = "eu-central-1a", cidr_block = "10.0.8.0/24" }
}

mock_data "aws_subnets" {
  defaults = { ids = ["subnet-0a", "subnet-0b"] }
}

mock_data "aws_dynamodb_table" {
  defaults = { arn = "arn:aws:dynamodb:eu-central-1:123456789012:table/mainnet-nodes", hash_key = "url" }
}

mock_resource "aws_dynamodb_table" {
  defaults = { arn = "arn:aws:dynamodb:eu-central-1:123456789012:table/made" }
}

mock_resource "aws_ecr_repository" {
  defaults = {
    arn            = "arn:aws:ecr:eu-central-1:123456789012:repository/forebay"
    repository_url = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/forebay"
  }
}

mock_resource "aws_iam_role" {
  defaults = { arn = "arn:aws:iam::123456789012:role/made" }
}

mock_resource "aws_cloudwatch_log_group" {
  defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/ecs/forebay" }
}

mock_resource "aws_lb_target_group" {
  defaults = {
    arn        = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/foreb-1/0123456789abcdef"
    arn_suffix = "targetgroup/foreb-1/0123456789abcdef"
  }
}

mock_resource "aws_lb_listener_rule" {
  defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener-rule/app/public/0123456789abcdef/fedcba9876543210/1" }
}

mock_resource "aws_sns_topic" {
  defaults = { arn = "arn:aws:sns:eu-central-1:123456789012:forebay-alarms" }
}

mock_resource "aws_ecs_task_definition" {
  defaults = { arn = "arn:aws:ecs:eu-central-1:123456789012:task-definition/forebay:1" }
}

mock_resource "aws_ecs_service" {
  defaults = { arn = "arn:aws:ecs:eu-central-1:123456789012:service/main/forebay" }
}

mock_resource "aws_service_discovery_service" {
  defaults = { arn = "arn:aws:servicediscovery:eu-central-1:123456789012:service/srv-1" }
}

mock_resource "aws_security_group" {
  defaults = { id = "sg-0a1b2c3d4e5f60009" }
}

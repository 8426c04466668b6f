# Forebay beside what is there: a VPC with private subnets, a cluster, a load balancer.
#
#   terraform init
#   terraform apply -target=module.forebay.aws_ecr_repository.this     # then push the image there
#   terraform apply

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0, < 7.0"
    }
  }
}

provider "aws" {
  region = "eu-central-1"
}

data "aws_lb" "public" {
  name = "public"
}

data "aws_lb_listener" "https" {
  load_balancer_arn = data.aws_lb.public.arn
  port              = 443
}

data "aws_subnets" "private" {
  filter {
    name   = "vpc-id"
    values = [data.aws_lb.public.vpc_id]
  }

  tags = {
    Tier = "private"
  }
}

data "aws_caller_identity" "this" {}

data "aws_region" "this" {}

locals {
  # The leader's whole URL, key and all: put there once by hand, as a SecureString.
  leader_url = "arn:aws:ssm:${data.aws_region.this.region}:${data.aws_caller_identity.this.account_id}:parameter/forebay/leader-url"
}

module "forebay" {
  source = "../.."

  cluster_name = "main"
  listener_arn = data.aws_lb_listener.https.arn
  subnet_ids   = data.aws_subnets.private.ids
  host_names   = ["rpc.example.com"]
  image_tag    = "0.1.0"

  chain_id              = 1
  leader_url_secret_arn = local.leader_url
  node_cidrs            = ["10.0.0.0/16"]
  nodes = [
    { name = "geth-1", url = "http://10.0.0.11:8545", ws_url = "ws://10.0.0.11:8546", weight = 2 },
    { name = "geth-2", url = "http://10.0.0.12:8545", ws_url = "ws://10.0.0.12:8546" },
  ]

  alarm_emails = ["oncall@example.com"]
}

output "next_steps" {
  value = module.forebay.next_steps
}

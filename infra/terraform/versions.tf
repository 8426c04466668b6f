# Forebay on Fargate, for a VPC, an ECS cluster and an Application Load Balancer that are there.

terraform {
  # 1.9: a variable's validation may look at other variables.
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0, < 7.0"
    }
  }
}

# The module and the program are released together: one tag of the repository is both.
locals {
  module_version = "0.1.0"
}

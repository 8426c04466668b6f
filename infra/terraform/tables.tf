# The registry: the nodes in one table, leases and shared heads in the other.

locals {
  table_name = coalesce(var.table_name, "${var.name}-backends")
  table_arn  = one(concat(aws_dynamodb_table.backends[*].arn, data.aws_dynamodb_table.backends[*].arn))
}

resource "aws_dynamodb_table" "backends" {
  # checkov:skip=CKV_AWS_119: AWS's own key unless kms_key_arn names another
  count = var.create_table ? 1 : 0

  name                        = local.table_name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "url"
  deletion_protection_enabled = true
  tags                        = local.tags

  attribute {
    name = "url"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = local.keys.tables != null
    kms_key_arn = local.keys.tables
  }
}

# Each other chain has a pair of its own, which readers of the first know nothing of.

locals {
  chain_tables = {
    for name, chain in var.chains : name => coalesce(chain.table_name, "${local.table_name}-${name}") if !chain.default
  }
}

resource "aws_dynamodb_table" "chain" {
  # checkov:skip=CKV_AWS_119: AWS's own key unless kms_key_arn names another
  for_each = merge(
    { for name, table in local.chain_tables : table => "url" },
    { for name, table in local.chain_tables : "${table}-state" => "name" },
  )

  name                        = each.key
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = each.value
  deletion_protection_enabled = true
  tags                        = local.tags

  attribute {
    name = each.value
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = local.keys.tables != null
    kms_key_arn = local.keys.tables
  }
}

data "aws_dynamodb_table" "backends" {
  count = var.create_table ? 0 : 1

  name = var.table_name

  lifecycle {
    postcondition {
      condition     = self.hash_key == "url"
      error_message = "The table ${var.table_name} has another hash key than url: it is no table of nodes."
    }
  }
}

resource "aws_dynamodb_table" "state" {
  # checkov:skip=CKV_AWS_119: AWS's own key unless kms_key_arn names another
  name                        = "${local.table_name}-state"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "name"
  deletion_protection_enabled = true
  tags                        = local.tags

  attribute {
    name = "name"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = local.keys.tables != null
    kms_key_arn = local.keys.tables
  }
}

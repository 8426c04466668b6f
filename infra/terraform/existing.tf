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

  lifecycle {
    postcondition {
      condition     = coalesce(self.idle_timeout, 60) < local.client_idle_seconds
      error_message = "the load balancer's idle_timeout (${coalesce(self.idle_timeout, 60)} s) must stay below the ${local.client_idle_seconds} s after which Forebay closes an idle connection: else it meets one that is being closed, and answers 502."
    }
  }
}

# Where its own addresses come from: another machine in there could say that it asks for another client.
data "aws_subnet" "load_balancer" {
  for_each = var.trusted_proxies == null ? toset(data.aws_lb.this.subnets) : toset([])

  id = each.value
}

check "heavy_calls_end_before_the_load_balancer_does" {
  assert {
    condition     = local.heavy_seconds <= coalesce(data.aws_lb.this.idle_timeout, 60)
    error_message = "calls.heavy (${local.heavy_seconds} s) is longer than the load balancer's idle_timeout (${coalesce(data.aws_lb.this.idle_timeout, 60)} s), which ends such calls with 504."
  }
}

# Two tasks at least. An own node without ws_url is tried for a socket at its url; where it has none there, and nothing
# is shared, each task learns of its blocks by itself.
check "tasks_that_share_nothing_have_nodes_with_sockets" {
  assert {
    condition     = var.shared_store != null || alltrue([for node in concat(var.nodes, flatten(values(var.chains)[*].nodes)) : node.ws_url != null || node.fallback == true || node.leader == true])
    error_message = "a node has no ws_url, and there is no shared_store. The node is tried for a socket at its url; if it has one there, all is well. If not, tasks learn of its blocks at somewhat different times, and a client that goes from one task to another may be shown the older one. Say its ws_url, or give shared_store."
  }
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
  tags      = merge({ Service = var.name, ForebayModule = local.module_version }, var.tags)

  # Forebay's own: after so long it closes an idle client's connection.
  client_idle_seconds = 75
  heavy               = try(var.settings.calls.heavy, "60s")
  heavy_seconds       = try(tonumber(regex("^[0-9]+", local.heavy)) * { ms = 0.001, s = 1, m = 60, h = 3600 }[regex("[a-z]+$", local.heavy)], 60)
}

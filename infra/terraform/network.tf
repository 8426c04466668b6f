# What may talk to what. In: the load balancer, and those named for metrics and admin. Out: HTTPS
# (AWS, the leader), and the nodes.

locals {
  # Both lists may hold groups that are known only at apply; their places are known before.
  callers = merge(
    { for place, group in tolist(data.aws_lb.this.security_groups) : "load-balancer-${place}" => { group = group, port = local.ports.http } },
    { for place, group in var.metrics_security_group_ids : "metrics-${place}" => { group = group, port = local.ports.metrics } },
    { for place, group in try(var.admin.security_group_ids, []) : "admin-${place}" => { group = group, port = local.ports.admin } },
  )
  node_doors = { for pair in setproduct(var.node_cidrs, var.node_ports) : "${pair[0]}:${pair[1]}" => { cidr = pair[0], port = pair[1] } }
}

resource "aws_security_group" "task" {
  # checkov:skip=CKV2_AWS_5: it is the service's, see service.tf
  name_prefix = "${var.name}-"
  description = "Forebay's tasks"
  vpc_id      = local.vpc_id
  tags        = merge(local.tags, { Name = var.name })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "callers" {
  for_each = local.callers

  security_group_id            = aws_security_group.task.id
  description                  = each.key
  referenced_security_group_id = each.value.group
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  tags                         = local.tags
}

# The other side of the same door.
resource "aws_vpc_security_group_egress_rule" "load_balancer" {
  for_each = { for place, group in tolist(data.aws_lb.this.security_groups) : "load-balancer-${place}" => group if var.load_balancer_egress }

  security_group_id            = each.value
  description                  = "Forebay's tasks"
  referenced_security_group_id = aws_security_group.task.id
  ip_protocol                  = "tcp"
  from_port                    = local.ports.http
  to_port                      = local.ports.http
  tags                         = local.tags
}

resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.task.id
  description       = "AWS and nodes on https"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = local.tags
}

resource "aws_vpc_security_group_egress_rule" "shared_store" {
  count = var.shared_store == null ? 0 : 1

  security_group_id            = aws_security_group.task.id
  description                  = "the store that the tasks share"
  referenced_security_group_id = var.shared_store.security_group_id
  ip_protocol                  = "tcp"
  from_port                    = var.shared_store.port
  to_port                      = var.shared_store.port
  tags                         = local.tags
}

resource "aws_vpc_security_group_egress_rule" "nodes" {
  for_each = local.node_doors

  security_group_id = aws_security_group.task.id
  description       = "nodes"
  cidr_ipv4         = each.value.cidr
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  tags              = local.tags
}

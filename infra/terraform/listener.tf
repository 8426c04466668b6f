# How callers come in: a rule of the listener that is there, by host name.

resource "aws_lb_target_group" "this" {
  # checkov:skip=CKV_AWS_378: TLS ends at the load balancer, the tasks' port is open to it alone
  name_prefix                   = "${substr(var.name, 0, 5)}-"
  port                          = local.ports.http
  protocol                      = "HTTP"
  target_type                   = "ip"
  vpc_id                        = local.vpc_id
  load_balancing_algorithm_type = "least_outstanding_requests"
  deregistration_delay          = var.lame_duck_seconds + var.drain_seconds
  tags                          = local.tags

  # Out after 10 s, sooner than the lame-duck time is over. A node's outage leaves /health at 200.
  health_check {
    path                = "/health"
    matcher             = "200"
    interval            = 5
    timeout             = 3
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_lb_listener_rule" "this" {
  listener_arn = var.listener_arn
  priority     = var.listener_rule_priority
  tags         = local.tags

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this.arn
  }

  condition {
    host_header {
      values = var.host_names
    }
  }
}

# A chain's host names say which chain is meant, whatever the path. Its place is its own: reckoned from the others'
# it would move when one of them comes or goes, and its rule be made anew.
resource "aws_lb_listener_rule" "chain" {
  for_each = { for name, chain in var.chains : name => chain if length(chain.host_names) > 0 }

  listener_arn = var.listener_arn
  priority     = each.value.listener_rule_priority
  tags         = local.tags

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this.arn
  }

  condition {
    host_header {
      values = each.value.host_names
    }
  }
}

resource "aws_route53_record" "this" {
  for_each = toset(var.route53_zone_id == null ? [] : concat(var.host_names, flatten([for chain in values(var.chains) : chain.host_names])))

  zone_id = var.route53_zone_id
  name    = each.value
  type    = "A"

  alias {
    name                   = data.aws_lb.this.dns_name
    zone_id                = data.aws_lb.this.zone_id
    evaluate_target_health = true
  }
}

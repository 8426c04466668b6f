# When somebody is called. Metrics of the namespace Forebay are its own, out of its log; the others
# are the load balancer's.

locals {
  topic_arn = var.alarm_topic_arn != null ? var.alarm_topic_arn : aws_sns_topic.this[0].arn
  behind = {
    LoadBalancer = data.aws_lb.this.arn_suffix
    TargetGroup  = aws_lb_target_group.this.arn_suffix
  }
  # Below this many requests a minute a percentage says nothing.
  requests_min = 100
}

resource "aws_sns_topic" "this" {
  # checkov:skip=CKV_AWS_26: alarms carry no secrets, and can't use the key aws/sns; kms_key_arn is used where given
  count = var.alarm_topic_arn == null ? 1 : 0

  name              = "${var.name}-alarms"
  kms_master_key_id = local.keys.alarms
  tags              = local.tags
}

resource "aws_sns_topic_policy" "this" {
  count = var.alarm_topic_arn == null ? 1 : 0

  arn = aws_sns_topic.this[0].arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Alarms"
      Effect    = "Allow"
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.this[0].arn
      Principal = { Service = "cloudwatch.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_sns_topic_subscription" "email" {
  for_each = toset(var.alarm_emails)

  topic_arn = local.topic_arn
  protocol  = "email"
  endpoint  = each.value
}

# Those that watch one metric, as it is. What is left out is the rule: see `plain`.
locals {
  watched = {
    # Of all tasks' words the worst counts. Silence is an alarm too: nothing watches.
    healthy-nodes = {
      description = "Forebay has fewer healthy nodes of its own than ${var.alarm_at.healthy_nodes_min}, or says nothing. Look at its status page or `forebay probe`."
      metric      = "HealthyNodes"
      statistic   = "Minimum"
      operator    = "LessThanThreshold"
      threshold   = var.alarm_at.healthy_nodes_min
      missing     = "breaching"
    }
    fallback = {
      description = "The leader or a fallback node serves: somebody else is paid for every call."
      metric      = "FallbackInUse"
      operator    = "GreaterThanOrEqualToThreshold"
      threshold   = 1
      periods     = var.alarm_at.fallback_minutes
    }
    slow-calls = {
      description = "One call of a hundred takes longer than ${var.alarm_at.p99_ms} ms (heavy methods left out)."
      metric      = "CallTimeP99"
      threshold   = var.alarm_at.p99_ms
      periods     = 10
      datapoints  = 8
    }
    registry = {
      description = "The list of nodes has not been read for ${var.alarm_at.registry_age_seconds} s: changes don't arrive. Calls don't need it."
      metric      = "RegistryAge"
      threshold   = var.alarm_at.registry_age_seconds
    }
    # Only where Forebay itself speaks TLS: a certificate of the load balancer's is AWS's to renew.
    certificate = {
      description = "A certificate that Forebay shows expires within ${var.alarm_at.certificate_days} days."
      metric      = "CertificateDays"
      statistic   = "Minimum"
      operator    = "LessThanThreshold"
      threshold   = var.alarm_at.certificate_days
    }
    # Made by the load balancer itself: no task took the request, or one broke it off. Of all that is
    # behind this load balancer.
    load-balancer-5xx = {
      description = "The load balancer answered more than ${var.alarm_at.load_balancer_errors} requests a minute with 502, 503 or 504 of its own: it reaches no task, or tasks break off."
      namespace   = "AWS/ApplicationELB"
      metric      = "HTTPCode_ELB_5XX_Count"
      dimensions  = { LoadBalancer = local.behind.LoadBalancer }
      statistic   = "Sum"
      threshold   = var.alarm_at.load_balancer_errors
      datapoints  = 2
    }
    tasks = {
      description = "Fewer than two tasks are healthy behind the load balancer."
      namespace   = "AWS/ApplicationELB"
      metric      = "HealthyHostCount"
      dimensions  = local.behind
      statistic   = "Minimum"
      operator    = "LessThanThreshold"
      threshold   = 2
      periods     = 5
      missing     = "breaching"
    }
  }
}

# With several chains each is watched by itself: a quiet one doesn't drown in a busy one.
locals {
  of_chains = ["healthy-nodes", "fallback", "slow-calls", "registry"]
  plain = merge(
    { for key, alarm in local.watched : key => alarm if length(var.chains) == 0 || !contains(local.of_chains, key) },
    {
      for pair in setproduct(local.of_chains, keys(var.chains)) : "${pair[0]}-${pair[1]}" => merge(local.watched[pair[0]], {
        description = "${pair[1]}: ${local.watched[pair[0]].description}"
        dimensions  = { Service = var.name, Chain = pair[1] }
      })
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "plain" {
  for_each = local.plain

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = try(each.value.namespace, "Forebay")
  metric_name         = each.value.metric
  dimensions          = try(each.value.dimensions, { Service = var.name })
  statistic           = try(each.value.statistic, "Maximum")
  comparison_operator = try(each.value.operator, "GreaterThanThreshold")
  threshold           = each.value.threshold
  period              = 60
  evaluation_periods  = try(each.value.periods, 3)
  datapoints_to_alarm = try(each.value.datapoints, null)
  treat_missing_data  = try(each.value.missing, "notBreaching")
  alarm_actions       = [local.topic_arn]
  ok_actions          = [local.topic_arn]
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name          = "${var.name}-5xx"
  alarm_description   = "More than ${var.alarm_at.error_percent} percent of the requests get 5xx from Forebay: 503 no node, 504 no answer in time. Not counted: 503s that say that nodes failed this one call, and that it may be tried again."
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.alarm_at.error_percent
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  treat_missing_data  = "notBreaching"
  alarm_actions       = [local.topic_arn]
  ok_actions          = [local.topic_arn]
  tags                = local.tags

  metric_query {
    id          = "percent"
    expression  = "IF(requests >= ${local.requests_min}, 100 * IF(errors > FILL(try_again, 0), errors - FILL(try_again, 0), 0) / requests, 0)"
    label       = "5xx, percent"
    return_data = true
  }

  metric_query {
    id = "errors"

    metric {
      namespace   = "AWS/ApplicationELB"
      metric_name = "HTTPCode_Target_5XX_Count"
      dimensions  = local.behind
      stat        = "Sum"
      period      = 60
    }
  }

  # What nodes make of a call says nothing of this version of Forebay.
  metric_query {
    id = "try_again"

    metric {
      namespace   = "Forebay"
      metric_name = "TryAgainResponses"
      dimensions  = { Service = var.name }
      stat        = "Sum"
      period      = 60
    }
  }

  metric_query {
    id = "requests"

    metric {
      namespace   = "AWS/ApplicationELB"
      metric_name = "RequestCount"
      dimensions  = local.behind
      stat        = "Sum"
      period      = 60
    }
  }
}

# Whatever their HTTP status: a call that every node failed may be a 200 with -32013.
resource "aws_cloudwatch_metric_alarm" "failed_calls" {
  alarm_name          = "${var.name}-failed-calls"
  alarm_description   = "No node had an answer to more than ${var.alarm_at.failed_percent} percent of the calls. Forebay's log names them, and the nodes that failed."
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.alarm_at.failed_percent
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  treat_missing_data  = "notBreaching"
  alarm_actions       = [local.topic_arn]
  ok_actions          = [local.topic_arn]
  tags                = local.tags

  metric_query {
    id          = "percent"
    expression  = "IF(calls >= ${local.requests_min}, 100 * failed / calls, 0)"
    label       = "failed calls, percent"
    return_data = true
  }

  metric_query {
    id = "failed"

    metric {
      namespace   = "Forebay"
      metric_name = "FailedCalls"
      dimensions  = { Service = var.name }
      stat        = "Sum"
      period      = 60
    }
  }

  metric_query {
    id = "calls"

    metric {
      namespace   = "Forebay"
      metric_name = "Calls"
      dimensions  = { Service = var.name }
      stat        = "Sum"
      period      = 60
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "failed_calls_of_chain" {
  for_each = var.chains

  alarm_name          = "${var.name}-failed-calls-${each.key}"
  alarm_description   = "${each.key}: no node had an answer to more than ${var.alarm_at.failed_percent} percent of the calls. Forebay's log names them, and the nodes that failed."
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.alarm_at.failed_percent
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  treat_missing_data  = "notBreaching"
  alarm_actions       = [local.topic_arn]
  ok_actions          = [local.topic_arn]
  tags                = local.tags

  metric_query {
    id          = "percent"
    expression  = "IF(calls >= ${local.requests_min}, 100 * failed / calls, 0)"
    label       = "failed calls, percent"
    return_data = true
  }

  metric_query {
    id = "failed"

    metric {
      namespace   = "Forebay"
      metric_name = "FailedCalls"
      dimensions  = { Service = var.name, Chain = each.key }
      stat        = "Sum"
      period      = 60
    }
  }

  metric_query {
    id = "calls"

    metric {
      namespace   = "Forebay"
      metric_name = "Calls"
      dimensions  = { Service = var.name, Chain = each.key }
      stat        = "Sum"
      period      = 60
    }
  }
}

# Slack, through Amazon Q Developer in chat applications (once AWS Chatbot).
resource "aws_chatbot_slack_channel_configuration" "this" {
  count = var.slack == null ? 0 : 1

  configuration_name    = "${var.name}-alarms"
  slack_team_id         = var.slack.workspace_id
  slack_channel_id      = var.slack.channel_id
  iam_role_arn          = aws_iam_role.slack[0].arn
  sns_topic_arns        = [local.topic_arn]
  guardrail_policy_arns = ["arn:${local.partition}:iam::aws:policy/CloudWatchReadOnlyAccess"]
  logging_level         = "ERROR"
  tags                  = local.tags
}

resource "aws_iam_role" "slack" {
  count = var.slack == null ? 0 : 1

  name                 = "${var.name}-slack"
  description          = "What the Slack channel may see: the alarms' graphs"
  assume_role_policy   = local.trust["chatbot"]
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags
}

resource "aws_iam_role_policy" "slack" {
  # checkov:skip=CKV_AWS_355: CloudWatch ties these reads to no resource
  count = var.slack == null ? 0 : 1

  name = "graphs"
  role = aws_iam_role.slack[0].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "Graphs"
      Effect   = "Allow"
      Action   = ["cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData", "cloudwatch:GetMetricStatistics", "cloudwatch:GetMetricWidgetImage", "cloudwatch:ListMetrics"]
      Resource = ["*"]
    }]
  })
}

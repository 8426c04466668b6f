# The tasks: on Fargate, in several zones, on a read-only root file system, replaced one healthy
# task after another.

locals {
  configuration_path = "/forebay/data/pingora.yaml"

  # Fargate mounts no files: the configuration comes as a variable. Arguments follow it, so that
  # `run-task` with another command (backends list …) is Forebay with the same configuration.
  write_and_run = "umask 077 && printf %s \"$FOREBAY_CONFIG\" >${local.configuration_path} && exec forebay \"$@\""

  container = {
    name        = "forebay"
    image       = local.image
    essential   = true
    entryPoint  = ["/bin/sh", "-c", local.write_and_run, "forebay"]
    command     = ["serve", "--log-format", "json", "-c", local.configuration_path]
    stopTimeout = var.lame_duck_seconds + var.drain_seconds + 10

    environment = [
      { name = "AWS_REGION", value = local.region },
      { name = "FOREBAY_CONFIG", value = local.configuration },
    ]
    secrets = [for name, arn in local.secrets : { name = name, valueFrom = arn }]

    portMappings = [
      for name, port in local.ports : { containerPort = port, hostPort = port, protocol = "tcp" }
      if name != "admin" || var.admin != null
    ]
    readonlyRootFilesystem = true
    mountPoints            = [{ sourceVolume = "data", containerPath = "/forebay/data", readOnly = false }]
    linuxParameters        = { capabilities = { drop = ["ALL"] } }
    ulimits                = [{ name = "nofile", softLimit = 65536, hardLimit = 65536 }]

    healthCheck = {
      command     = ["CMD", "forebay", "health", "-c", local.configuration_path]
      interval    = 10
      timeout     = 5
      retries     = 3
      startPeriod = 30
    }

    # stdout and stderr: CloudWatch takes the metrics out of the lines that carry some.
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this.name
        awslogs-region        = local.region
        awslogs-stream-prefix = "forebay"
        mode                  = "non-blocking"
        max-buffer-size       = "4m"
      }
    }
  }
}

resource "aws_cloudwatch_log_group" "this" {
  # checkov:skip=CKV_AWS_158: AWS's own key unless kms_key_arn names another
  # checkov:skip=CKV_AWS_338: a year unless log_retention_days says otherwise
  name              = "/ecs/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = local.keys.logs
  tags              = local.tags
}

resource "aws_ecs_task_definition" "this" {
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = tostring(var.cpu)
  memory                   = tostring(var.memory)
  task_role_arn            = aws_iam_role.task.arn
  execution_role_arn       = aws_iam_role.execution.arn
  container_definitions    = jsonencode(concat([local.container], var.sidecars))
  tags                     = local.tags

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.cpu_architecture
  }

  # Lives as long as its task. The image gives the folder its owner.
  volume {
    name = "data"
  }
}

resource "aws_ecs_service" "this" {
  name                              = var.name
  cluster                           = data.aws_ecs_cluster.this.arn
  task_definition                   = aws_ecs_task_definition.this.arn
  launch_type                       = "FARGATE"
  desired_count                     = var.tasks_min
  availability_zone_rebalancing     = "ENABLED"
  enable_execute_command            = false
  enable_ecs_managed_tags           = true
  propagate_tags                    = "SERVICE"
  health_check_grace_period_seconds = 60
  tags                              = local.tags

  # A new task must be healthy before an old one goes; a version that never is goes back.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  wait_for_steady_state              = true

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  alarms {
    enable      = true
    rollback    = true
    alarm_names = [aws_cloudwatch_metric_alarm.errors.alarm_name]
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.task.id]
    assign_public_ip = var.assign_public_ip
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.this.arn
    container_name   = local.container.name
    container_port   = local.ports.http
  }

  dynamic "service_registries" {
    for_each = aws_service_discovery_service.this[*].arn

    content {
      registry_arn = service_registries.value
    }
  }

  # A target group takes targets only once a listener uses it; a task starts only with its rights.
  depends_on = [aws_lb_listener_rule.this, aws_lb_listener_rule.chain, aws_iam_role_policy.execution, aws_iam_role_policy.task]

  lifecycle {
    # Autoscaling's number from the first day on.
    ignore_changes = [desired_count]

    precondition {
      condition     = length(var.chains) == 0 || (length(var.nodes) == 0 && var.leader_url_secret_arn == null && length(setintersection(try(keys(var.settings), []), ["chain"])) == 0)
      error_message = "nodes, leader_url_secret_arn and settings.chain are of one chain alone, and can't stand beside chains: write them in the chain."
    }
    precondition {
      condition     = length(local.zones) >= 2
      error_message = "subnet_ids all lie in one zone; its outage would take every task."
    }
    precondition {
      condition     = alltrue([for subnet in data.aws_subnet.this : subnet.vpc_id == local.vpc_id])
      error_message = "subnet_ids must lie in the VPC of the load balancer."
    }
    precondition {
      condition     = data.aws_ecs_cluster.this.status == "ACTIVE"
      error_message = "The cluster ${var.cluster_name} is not active."
    }
  }
}

resource "aws_service_discovery_service" "this" {
  count = var.service_discovery_namespace_id == null ? 0 : 1

  name = var.name
  tags = local.tags

  dns_config {
    namespace_id   = var.service_discovery_namespace_id
    routing_policy = "MULTIVALUE"

    dns_records {
      type = "A"
      ttl  = 10
    }
  }
}

resource "aws_appautoscaling_target" "this" {
  service_namespace  = "ecs"
  resource_id        = "service/${var.cluster_name}/${aws_ecs_service.this.name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = var.tasks_min
  max_capacity       = var.tasks_max
  tags               = local.tags
}

resource "aws_appautoscaling_policy" "cpu" {
  name               = "${var.name}-cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  resource_id        = aws_appautoscaling_target.this.resource_id
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = var.scale_at.cpu_percent
    scale_out_cooldown = 60
    scale_in_cooldown  = 300

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}

resource "aws_appautoscaling_policy" "requests" {
  count = var.scale_at.requests_per_minute == null ? 0 : 1

  name               = "${var.name}-requests"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  resource_id        = aws_appautoscaling_target.this.resource_id
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = var.scale_at.requests_per_minute
    scale_out_cooldown = 60
    scale_in_cooldown  = 300

    predefined_metric_specification {
      predefined_metric_type = "ALBRequestCountPerTarget"
      resource_label         = "${data.aws_lb.this.arn_suffix}/${aws_lb_target_group.this.arn_suffix}"
    }
  }
}

# What is made of the inputs. Nothing here talks to AWS.

mock_provider "aws" {
  source = "./tests/aws"

  override_data {
    target = data.aws_subnet.this["subnet-0b"]
    values = { vpc_id = "vpc-0123456789abcdef0", availability_zone = "eu-central-1b" }
  }
}

variables {
  cluster_name = "main"
  listener_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener/app/public/0123456789abcdef/fedcba9876543210"
  subnet_ids   = ["subnet-0a", "subnet-0b"]
  host_names   = ["rpc.example.com"]
  image_tag    = "0.1.0"
}

run "the_least_that_must_be_said_makes_a_whole_service" {
  assert {
    condition     = output.image == "123456789012.dkr.ecr.eu-central-1.amazonaws.com/forebay:0.1.0"
    error_message = "the image comes from the repository made here"
  }
  assert {
    condition     = output.table_name == "forebay-backends" && output.state_table_name == "forebay-backends-state"
    error_message = "the tables are named after the service"
  }
  assert {
    condition     = length(aws_route53_record.this) == 0 && length(aws_chatbot_slack_channel_configuration.this) == 0 && length(aws_service_discovery_service.this) == 0
    error_message = "what wasn't asked for isn't made"
  }
  assert {
    condition     = strcontains(output.next_steps, "run-task") && strcontains(output.next_steps, "https://rpc.example.com/")
    error_message = "the outputs tell the next step"
  }
}

run "the_tables_have_the_keys_that_forebay_reads_and_can_t_be_lost" {
  assert {
    condition     = aws_dynamodb_table.backends[0].hash_key == "url" && aws_dynamodb_table.state.hash_key == "name"
    error_message = "the keys are url and name"
  }
  assert {
    condition = alltrue([
      for table in [aws_dynamodb_table.backends[0], aws_dynamodb_table.state] :
      table.deletion_protection_enabled && table.point_in_time_recovery[0].enabled && table.billing_mode == "PAY_PER_REQUEST"
    ])
    error_message = "on demand, protected, and with a way back in time"
  }
}

run "the_task_may_use_its_two_tables_and_nothing_else" {
  variables {
    create_table = false
    table_name   = "mainnet-nodes"
  }
  assert {
    condition     = length(jsondecode(output.task_policy).Statement) == 1
    error_message = "one statement"
  }
  assert {
    condition = toset(jsondecode(output.task_policy).Statement[0].Resource) == toset([
      "arn:aws:dynamodb:eu-central-1:123456789012:table/mainnet-nodes",
      "arn:aws:dynamodb:eu-central-1:123456789012:table/made",
    ])
    error_message = "two tables"
  }
  assert {
    condition     = alltrue([for action in jsondecode(output.task_policy).Statement[0].Action : startswith(action, "dynamodb:") && !strcontains(action, "*") && !can(regex("Table$", replace(action, "DescribeTable", ""))) && !strcontains(action, "Policy")])
    error_message = "items are read and written; no table is made, changed or dropped"
  }
  assert {
    condition     = length(aws_dynamodb_table.backends) == 0
    error_message = "a table that is there is left as it is"
  }
}

run "ecs_may_read_just_the_secrets_that_are_named" {
  variables {
    leader_url_secret_arn = "arn:aws:ssm:eu-central-1:123456789012:parameter/forebay/leader-url"
    secrets = {
      GETH_TOKEN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:geth-AbCdEf:token::"
    }
  }
  assert {
    condition     = { for one in jsondecode(output.execution_policy).Statement : one.Sid => one.Resource }["Parameters"] == ["arn:aws:ssm:eu-central-1:123456789012:parameter/forebay/leader-url"]
    error_message = "the parameter alone"
  }
  assert {
    condition     = { for one in jsondecode(output.execution_policy).Statement : one.Sid => one.Resource }["Secrets"] == ["arn:aws:secretsmanager:eu-central-1:123456789012:secret:geth-AbCdEf"]
    error_message = "the secret alone, without the key behind it"
  }
  assert {
    condition     = [for one in jsondecode(output.execution_policy).Statement : one.Action if contains(one.Resource, "*")] == [["ecr:GetAuthorizationToken"]]
    error_message = "only ECR's token is for every resource"
  }
  assert {
    condition     = toset([for one in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].secrets : one.name]) == toset(["GETH_TOKEN", "LEADER_URL"])
    error_message = "both reach the container as variables"
  }
}

run "without_secrets_ecs_may_read_none" {
  assert {
    condition     = toset([for one in jsondecode(output.execution_policy).Statement : one.Sid]) == toset(["Log", "Registry", "Image"])
    error_message = "log, token and image"
  }
}

run "a_key_of_ones_own_is_used_everywhere" {
  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
  }
  assert {
    condition = alltrue([for key in [
      aws_dynamodb_table.backends[0].server_side_encryption[0].kms_key_arn, aws_dynamodb_table.state.server_side_encryption[0].kms_key_arn,
      aws_ecr_repository.this[0].encryption_configuration[0].kms_key, aws_cloudwatch_log_group.this.kms_key_id, aws_sns_topic.this[0].kms_master_key_id,
    ] : key == var.kms_key_arn])
    error_message = "tables, images, logs and alarms"
  }
  assert {
    condition     = jsondecode(output.task_policy).Statement[1].Condition.StringEquals["kms:ViaService"] == "dynamodb.eu-central-1.amazonaws.com"
    error_message = "the task uses it through DynamoDB alone"
  }
}

run "each_use_may_have_a_key_of_its_own_and_roles_a_boundary" {
  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
    kms_key_arns = {
      logs    = "arn:aws:kms:eu-central-1:123456789012:key/00000000-89ab-cdef-0123-456789abcdef"
      secrets = "arn:aws:kms:eu-central-1:123456789012:key/11111111-89ab-cdef-0123-456789abcdef"
    }
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/boundary"
    leader_url_secret_arn    = "arn:aws:ssm:eu-central-1:123456789012:parameter/forebay/leader-url"
    slack                    = { workspace_id = "T0123ABCD", channel_id = "C0123ABCD" }
  }
  assert {
    condition     = aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arns.logs && aws_dynamodb_table.state.server_side_encryption[0].kms_key_arn == var.kms_key_arn
    error_message = "its own where there is one, else the one for all"
  }
  assert {
    condition     = one([for one in jsondecode(output.execution_policy).Statement : one.Resource[0] if one.Sid == "SecretsKey"]) == var.kms_key_arns.secrets
    error_message = "ECS may use the secrets' key alone"
  }
  assert {
    condition     = alltrue([for role in [aws_iam_role.task, aws_iam_role.execution, aws_iam_role.slack[0]] : role.permissions_boundary == var.permissions_boundary_arn])
    error_message = "every role is bounded"
  }
}

run "what_the_load_balancer_says_of_its_clients_is_believed_unless_told_otherwise" {
  assert {
    condition     = yamldecode(output.configuration).forebay.listen.trusted_proxies == ["10.0.8.0/24"]
    error_message = "its subnets: ${output.configuration}"
  }
}

run "no_proxy_is_believed_where_that_is_said" {
  variables {
    trusted_proxies = []
  }
  assert {
    condition     = !can(yamldecode(output.configuration).forebay.listen.trusted_proxies)
    error_message = output.configuration
  }
}

run "the_load_balancer_s_door_is_left_alone_where_that_is_said" {
  variables {
    load_balancer_egress = false
  }
  assert {
    condition     = length(aws_vpc_security_group_egress_rule.load_balancer) == 0
    error_message = "its rules are kept elsewhere"
  }
}

run "an_image_of_another_account_s_repository_can_be_pulled" {
  variables {
    image     = "210987654321.dkr.ecr.us-east-1.amazonaws.com/team/forebay@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    image_tag = null
  }
  assert {
    condition     = length(aws_ecr_repository.this) == 0 && output.repository_url == null
    error_message = "no repository is made"
  }
  assert {
    condition     = { for one in jsondecode(output.execution_policy).Statement : one.Sid => one.Resource }["Image"] == ["arn:aws:ecr:us-east-1:210987654321:repository/team/forebay"]
    error_message = "that repository alone"
  }
}

run "the_container_is_read_only_and_has_time_to_end" {
  variables {
    lame_duck_seconds = 20
    drain_seconds     = 90
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].readonlyRootFilesystem
    error_message = "the root file system is read-only"
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].stopTimeout == 120
    error_message = "the stop timeout holds lame duck, drain and a rest, and is no more than ECS gives"
  }
  assert {
    condition     = aws_lb_target_group.this.deregistration_delay == "110"
    error_message = "the target group waits as long"
  }
  assert {
    condition     = yamldecode(output.configuration).forebay.shutdown == { lame_duck = "20s", drain = "90s" }
    error_message = "Forebay is told the same"
  }
}

run "the_configuration_is_forebay_s" {
  variables {
    leader_url_secret_arn = "arn:aws:ssm:eu-central-1:123456789012:parameter/forebay/leader-url"
    nodes                 = [{ name = "geth-1", url = "http://10.0.0.11:8545", weight = 2 }, { url = "https://example.com/$${KEY}", fallback = true }]
    settings              = { chain = { block_time = "2s" }, health = { lag_blocks_max = 5 } }
    shared_store          = { url = "rediss://forebay:$${SHARED_PASSWORD}@cache.internal:6379", security_group_id = "sg-0a1b2c3d4e5f60004" }
    chain_id              = 10
    trusted_proxies       = ["10.0.0.0/16"]
    cpu                   = 2048
    memory                = 4096
  }
  assert {
    condition = yamldecode(output.configuration) == {
      version                      = 1
      threads                      = 2
      upstream_keepalive_pool_size = 512
      forebay = {
        chain      = { id = 10, block_time = "2s" }
        listen     = { http = ["0.0.0.0:8545"], metrics = "0.0.0.0:9090", trusted_proxies = ["10.0.0.0/16"] }
        registry   = { kind = "dynamodb", table = "forebay-backends", last_list = "data/last-list.json" }
        shared     = { kind = "valkey", url = "rediss://forebay:$${SHARED_PASSWORD}@cache.internal:6379" }
        cloudwatch = { namespace = "Forebay", service = "forebay" }
        shutdown   = { lame_duck = "15s", drain = "60s" }
        health     = { lag_blocks_max = 5 }
        nodes = [
          { name = "leader", url = "$${LEADER_URL}", leader = true },
          { name = "geth-1", url = "http://10.0.0.11:8545", weight = 2 },
          { url = "https://example.com/$${KEY}", fallback = true },
        ]
      }
    }
    error_message = "got ${output.configuration}"
  }
}

run "the_tasks_are_open_to_the_load_balancer_and_to_those_named" {
  variables {
    metrics_security_group_ids = ["sg-0a1b2c3d4e5f60002"]
    admin = {
      token_secret_arn   = "arn:aws:ssm:eu-central-1:123456789012:parameter/forebay/admin-token"
      security_group_ids = ["sg-0a1b2c3d4e5f60003"]
    }
    node_cidrs = ["10.0.0.0/24", "10.0.1.0/24"]
    node_ports = [8545]
  }
  assert {
    condition = { for rule in aws_vpc_security_group_ingress_rule.callers : rule.referenced_security_group_id => rule.from_port } == {
      "sg-0a1b2c3d4e5f60001" = 8545, "sg-0a1b2c3d4e5f60002" = 9090, "sg-0a1b2c3d4e5f60003" = 9091
    }
    error_message = "each to its own port"
  }
  assert {
    condition = { for rule in aws_vpc_security_group_egress_rule.load_balancer : rule.security_group_id => [rule.referenced_security_group_id, rule.to_port] } == {
      "sg-0a1b2c3d4e5f60001" = [aws_security_group.task.id, 8545]
    }
    error_message = "and the load balancer may go out to them"
  }
  assert {
    condition     = toset([for rule in aws_vpc_security_group_egress_rule.nodes : "${rule.cidr_ipv4} ${rule.to_port}"]) == toset(["10.0.0.0/24 8545", "10.0.1.0/24 8545"])
    error_message = "out to the nodes"
  }
  assert {
    condition     = yamldecode(output.configuration).forebay.admin.token == "$${FOREBAY_ADMIN_TOKEN}" && yamldecode(output.configuration).forebay.listen.admin == "0.0.0.0:9091"
    error_message = "the admin interface has a token, and the token isn't in the configuration"
  }
}

run "a_collector_runs_beside_it" {
  variables {
    sidecars = [{ name = "collector", image = "example/collector:1", essential = false }]
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[*].name == ["forebay", "collector"]
    error_message = "both are in the task"
  }
}

run "deployments_wait_for_health_and_go_back" {
  assert {
    condition     = aws_ecs_service.this.deployment_circuit_breaker[0].rollback && aws_ecs_service.this.deployment_minimum_healthy_percent == 100 && aws_ecs_service.this.wait_for_steady_state
    error_message = "no task goes before its successor is healthy"
  }
  assert {
    condition     = aws_lb_target_group.this.health_check[0].path == "/health"
    error_message = "health is /health"
  }
}

run "alarms_reach_the_topic_and_slack" {
  variables {
    alarm_topic_arn = "arn:aws:sns:eu-central-1:123456789012:oncall"
    alarm_at        = { healthy_nodes_min = 2 }
    slack           = { workspace_id = "T07EA123LEP", channel_id = "C07EZ1ABC23" }
  }
  assert {
    condition = alltrue([
      for alarm in concat([aws_cloudwatch_metric_alarm.errors, aws_cloudwatch_metric_alarm.failed_calls], values(aws_cloudwatch_metric_alarm.plain)) :
      alarm.alarm_actions == toset([var.alarm_topic_arn])
    ])
    error_message = "every alarm goes to the topic that was named"
  }
  assert {
    condition = toset(keys(aws_cloudwatch_metric_alarm.plain)) == toset([
      "healthy-nodes", "fallback", "slow-calls", "registry", "certificate", "load-balancer-5xx", "tasks",
    ])
    error_message = "one for each that watches a single metric"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.plain["healthy-nodes"].dimensions == tomap({ Service = "forebay" }) && aws_cloudwatch_metric_alarm.plain["healthy-nodes"].threshold == 2
    error_message = "Forebay's own metric"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.plain["tasks"].namespace == "AWS/ApplicationELB" && toset(keys(aws_cloudwatch_metric_alarm.plain["tasks"].dimensions)) == toset(["LoadBalancer", "TargetGroup"])
    error_message = "the load balancer's metric"
  }
  assert {
    condition = alltrue([
      aws_cloudwatch_metric_alarm.plain["certificate"].metric_name == "CertificateDays",
      aws_cloudwatch_metric_alarm.plain["certificate"].comparison_operator == "LessThanThreshold",
      aws_cloudwatch_metric_alarm.plain["certificate"].threshold == 14,
      aws_cloudwatch_metric_alarm.plain["certificate"].statistic == "Minimum",
      aws_cloudwatch_metric_alarm.plain["certificate"].treat_missing_data == "notBreaching",
    ])
    error_message = "a certificate's end is told a fortnight before; without one of our own there is no metric"
  }
  assert {
    condition     = aws_chatbot_slack_channel_configuration.this[0].sns_topic_arns == toset([var.alarm_topic_arn]) && length(aws_sns_topic.this) == 0
    error_message = "Slack listens to it"
  }
}

run "names_and_discovery_are_made_when_asked_for" {
  variables {
    route53_zone_id                = "Z0123456789ABC"
    host_names                     = ["rpc.example.com", "eth.example.com"]
    service_discovery_namespace_id = "ns-0123456789abcdef"
    scale_at                       = { requests_per_minute = 30000 }
  }
  assert {
    condition     = toset(keys(aws_route53_record.this)) == toset(var.host_names)
    error_message = "a record for each name"
  }
  assert {
    condition     = length(aws_ecs_service.this.service_registries) == 1
    error_message = "the tasks register themselves"
  }
  assert {
    condition     = aws_appautoscaling_policy.requests[0].target_tracking_scaling_policy_configuration[0].predefined_metric_specification[0].resource_label == "app/public/0123456789abcdef/targetgroup/foreb-1/0123456789abcdef"
    error_message = "scaling by requests names load balancer and target group"
  }
}

run "the_example_is_whole" {
  module {
    source = "./examples/existing-vpc"
  }

  override_data {
    target = module.forebay.data.aws_subnet.this["subnet-0b"]
    values = { vpc_id = "vpc-0123456789abcdef0", availability_zone = "eu-central-1b" }
  }

  assert {
    condition     = strcontains(output.next_steps, "--cluster main")
    error_message = "it says the next steps"
  }
}

run "each_chain_has_its_tables_its_hosts_its_secret_and_its_alarms" {
  variables {
    listener_rule_priority = 100
    route53_zone_id        = "Z0123456789ABCDEFGHIJ"
    chains = {
      ethereum = {
        id                    = 1
        default               = true
        leader_url_secret_arn = "arn:aws:ssm:eu-central-1:123456789012:parameter/forebay/ethereum"
      }
      op-sepolia = {
        id                     = 11155420
        block_time             = "2s"
        host_names             = ["op-sepolia.rpc.example.com"]
        listener_rule_priority = 300
        leader_url_secret_arn  = "arn:aws:ssm:eu-central-1:123456789012:parameter/forebay/op-sepolia"
        nodes                  = [{ url = "http://10.0.0.21:8545", ws_url = "ws://10.0.0.21:8546", name = "op-1", weight = 2, in_flight_max = 64, serves = ["eth_*"], recent_blocks = 128 }]
      }
    }
    chain_settings = { op-sepolia = { health = { lag_blocks_max = 60 }, cache = { never = ["eth_call"] } } }
  }
  assert {
    condition = yamldecode(output.configuration).forebay.chains == {
      ethereum = { id = 1, default = true, nodes = [{ name = "leader", url = "$${LEADER_URL_ETHEREUM}", leader = true }] }
      op-sepolia = {
        id         = 11155420
        block_time = "2s"
        hosts      = ["op-sepolia.rpc.example.com"]
        registry   = { table = "forebay-backends-op-sepolia" }
        health     = { lag_blocks_max = 60 }
        cache      = { never = ["eth_call"] }
        nodes = [
          { name = "leader", url = "$${LEADER_URL_OP_SEPOLIA}", leader = true },
          { name = "op-1", url = "http://10.0.0.21:8545", ws_url = "ws://10.0.0.21:8546", weight = 2, in_flight_max = 64, serves = ["eth_*"], recent_blocks = 128 },
        ]
      }
    }
    error_message = "the configuration has both, each with its own"
  }
  assert {
    condition     = !can(yamldecode(output.configuration).forebay.chain) && !can(yamldecode(output.configuration).forebay.nodes)
    error_message = "what means one chain alone doesn't stand beside them"
  }
  assert {
    condition     = { for name, table in aws_dynamodb_table.chain : name => table.hash_key } == { "forebay-backends-op-sepolia" = "url", "forebay-backends-op-sepolia-state" = "name" }
    error_message = "the default one keeps the tables that there are, the other has a pair of its own"
  }
  assert {
    condition     = length(jsondecode(output.task_policy).Statement[0].Resource) == 4
    error_message = "the task may use all four"
  }
  assert {
    condition     = toset([for one in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].secrets : one.name]) == toset(["LEADER_URL_ETHEREUM", "LEADER_URL_OP_SEPOLIA"])
    error_message = "each chain's secret reaches the container by the chain's name"
  }
  assert {
    condition     = keys(aws_lb_listener_rule.chain) == ["op-sepolia"] && aws_lb_listener_rule.chain["op-sepolia"].priority == 300 && one([for condition in aws_lb_listener_rule.chain["op-sepolia"].condition : one([for header in condition.host_header : header.values])]) == toset(["op-sepolia.rpc.example.com"])
    error_message = "a host rule of the same listener, where it was told to stand"
  }
  assert {
    condition     = toset(keys(aws_route53_record.this)) == toset(["rpc.example.com", "op-sepolia.rpc.example.com"])
    error_message = "records for all names"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.plain["healthy-nodes-op-sepolia"].dimensions == tomap({ Service = "forebay", Chain = "op-sepolia" }) && !contains(keys(aws_cloudwatch_metric_alarm.plain), "healthy-nodes") && contains(keys(aws_cloudwatch_metric_alarm.plain), "tasks")
    error_message = "each chain is watched by itself"
  }
  assert {
    condition     = keys(aws_cloudwatch_metric_alarm.failed_calls_of_chain) == ["ethereum", "op-sepolia"]
    error_message = "its failed calls, too"
  }
}

run "a_chain_that_comes_moves_no_rule_of_those_that_are_there" {
  variables {
    listener_rule_priority = 100
    chains = {
      ethereum = { id = 1, default = true }
      arbitrum = { id = 42161, host_names = ["arbitrum.rpc.example.com"], listener_rule_priority = 400 }
      op-sepolia = {
        id                     = 11155420
        host_names             = ["op-sepolia.rpc.example.com"]
        listener_rule_priority = 300
      }
    }
  }
  assert {
    condition     = { for name, rule in aws_lb_listener_rule.chain : name => rule.priority } == { arbitrum = 400, op-sepolia = 300 }
    error_message = "each stands where it was told to, whatever others there are"
  }
}

run "a_rule_that_was_told_no_place_keeps_the_one_that_it_was_given" {
  variables {
    chains = {
      ethereum   = { id = 1, default = true }
      arbitrum   = { id = 42161, host_names = ["arbitrum.rpc.example.com"] }
      op-sepolia = { id = 11155420, host_names = ["op-sepolia.rpc.example.com"] }
    }
  }
  assert {
    condition     = { for name, rule in aws_lb_listener_rule.chain : name => rule.priority } == { arbitrum = 400, op-sepolia = 300 }
    error_message = "AWS has given it, and nobody takes it away"
  }
}

# Every input that can be wrong is refused, one case each.

mock_provider "aws" {
  source = "./tests/aws"

  override_data {
    target = data.aws_subnet.this["subnet-0b"]
    values = { vpc_id = "vpc-0123456789abcdef0", availability_zone = "eu-central-1b" }
  }
  override_data {
    target = data.aws_subnet.this["subnet-elsewhere"]
    values = { vpc_id = "vpc-0fffffffffffffff0", availability_zone = "eu-central-1c" }
  }
}

variables {
  cluster_name = "main"
  listener_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener/app/public/0123456789abcdef/fedcba9876543210"
  subnet_ids   = ["subnet-0a", "subnet-0b"]
  host_names   = ["rpc.example.com"]
  image_tag    = "0.1.0"
}

run "a_name_too_long_for_a_target_group_is_refused" {
  command = plan
  variables {
    name = "a123456789012345678901234"
  }
  expect_failures = [var.name]
}

run "a_name_that_begins_with_a_digit_is_refused" {
  command = plan
  variables {
    name = "4bay"
  }
  expect_failures = [var.name]
}

run "a_cluster_s_arn_is_refused" {
  command = plan
  variables {
    cluster_name = "arn:aws:ecs:eu-central-1:123456789012:cluster/main"
  }
  expect_failures = [var.cluster_name]
}

run "one_subnet_is_refused" {
  command = plan
  variables {
    subnet_ids = ["subnet-0a", "subnet-0a"]
  }
  expect_failures = [var.subnet_ids]
}

run "subnets_of_one_zone_is_refused" {
  command = plan
  variables {
    subnet_ids = ["subnet-0a", "subnet-0c"]
  }
  expect_failures = [aws_ecs_service.this]
}

run "a_subnet_of_another_vpc_is_refused" {
  command = plan
  variables {
    subnet_ids = ["subnet-0a", "subnet-elsewhere"]
  }
  expect_failures = [aws_ecs_service.this]
}

run "a_network_load_balancer_s_listener_is_refused" {
  command = plan
  variables {
    listener_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener/net/public/0123456789abcdef/fedcba9876543210"
  }
  expect_failures = [var.listener_arn]
}

run "a_priority_past_the_last_is_refused" {
  command = plan
  variables {
    listener_rule_priority = 50001
  }
  expect_failures = [var.listener_rule_priority]
}

run "no_host_name_is_refused" {
  command = plan
  variables {
    host_names = []
  }
  expect_failures = [var.host_names]
}

run "six_host_names_is_refused" {
  command = plan
  variables {
    host_names = ["a.ex.com", "b.ex.com", "c.ex.com", "d.ex.com", "e.ex.com", "f.ex.com"]
  }
  expect_failures = [var.host_names]
}

run "a_url_for_a_host_name_is_refused" {
  command = plan
  variables {
    host_names = ["https://rpc.example.com"]
  }
  expect_failures = [var.host_names]
}

run "a_zone_s_name_for_its_id_is_refused" {
  command = plan
  variables {
    route53_zone_id = "example.com"
  }
  expect_failures = [var.route53_zone_id]
}

run "an_image_without_a_tag_is_refused" {
  command = plan
  variables {
    image     = "registry.example.com:5000/forebay"
    image_tag = null
  }
  expect_failures = [var.image]
}

run "an_image_and_a_tag_is_refused" {
  command = plan
  variables {
    image = "example/forebay:1"
  }
  expect_failures = [var.image_tag]
}

run "neither_image_nor_tag_is_refused" {
  command = plan
  variables {
    image_tag = null
  }
  expect_failures = [var.image_tag]
}

run "the_tag_latest_is_refused" {
  command = plan
  variables {
    image_tag = "latest"
  }
  expect_failures = [var.image_tag]
}

run "an_unknown_architecture_is_refused" {
  command = plan
  variables {
    cpu_architecture = "arm64"
  }
  expect_failures = [var.cpu_architecture]
}

run "cpu_that_fargate_has_not_is_refused" {
  command = plan
  variables {
    cpu = 1000
  }
  expect_failures = [var.cpu]
}

run "memory_one_step_too_much_is_refused" {
  command = plan
  variables {
    memory = 9216
  }
  expect_failures = [var.memory]
}

run "memory_between_two_steps_is_refused" {
  command = plan
  variables {
    memory = 2500
  }
  expect_failures = [var.memory]
}

run "one_task_only_is_refused" {
  command = plan
  variables {
    tasks_min = 1
  }
  expect_failures = [var.tasks_min]
}

run "fewer_tasks_at_most_than_at_least_is_refused" {
  command = plan
  variables {
    tasks_min = 4
    tasks_max = 3
  }
  expect_failures = [var.tasks_max]
}

run "scaling_at_no_load_is_refused" {
  command = plan
  variables {
    scale_at = { cpu_percent = 9 }
  }
  expect_failures = [var.scale_at]
}

run "scaling_at_no_requests_is_refused" {
  command = plan
  variables {
    scale_at = { requests_per_minute = 0 }
  }
  expect_failures = [var.scale_at]
}

run "chain_0_is_refused" {
  command = plan
  variables {
    chain_id = 0
  }
  expect_failures = [var.chain_id]
}

run "a_leader_s_url_in_the_clear_is_refused" {
  command = plan
  variables {
    leader_url_secret_arn = "https://mainnet.infura.io/v3/key"
  }
  expect_failures = [var.leader_url_secret_arn]
}

run "a_secret_in_the_clear_is_refused" {
  command = plan
  variables {
    secrets = { TOKEN = "s3cret" }
  }
  expect_failures = [var.secrets]
}

run "a_secret_with_a_name_that_is_taken_is_refused" {
  command = plan
  variables {
    secrets = { FOREBAY_CONFIG = "arn:aws:ssm:eu-central-1:123456789012:parameter/forebay/leader-url" }
  }
  expect_failures = [var.secrets]
}

run "a_node_without_a_scheme_is_refused" {
  command = plan
  variables {
    nodes = [{ url = "10.0.0.11:8545" }]
  }
  expect_failures = [var.nodes]
}

run "a_node_with_a_password_is_refused" {
  command = plan
  variables {
    nodes = [{ url = "http://user:pass@10.0.0.11:8545" }]
  }
  expect_failures = [var.nodes]
}

run "a_weight_past_the_last_is_refused" {
  command = plan
  variables {
    nodes = [{ url = "http://10.0.0.11:8545", weight = 1001 }]
  }
  expect_failures = [var.nodes]
}

run "two_leaders_is_refused" {
  command = plan
  variables {
    leader_url_secret_arn = "arn:aws:ssm:eu-central-1:123456789012:parameter/forebay/leader-url"
    nodes                 = [{ url = "http://10.0.0.11:8545", leader = true }]
  }
  expect_failures = [var.nodes]
}

run "a_node_s_address_for_a_network_is_refused" {
  command = plan
  variables {
    node_cidrs = ["10.0.0.11:8545"]
  }
  expect_failures = [var.node_cidrs]
}

run "a_port_past_the_last_is_refused" {
  command = plan
  variables {
    node_ports = [65536]
  }
  expect_failures = [var.node_ports]
}

run "a_shared_store_that_is_none_is_refused" {
  command = plan
  variables {
    shared_store = { url = "http://cache.internal", security_group_id = "sg-0a1b2c3d4e5f60004" }
  }
  expect_failures = [var.shared_store]
}

run "nodes_without_sockets_under_tasks_that_share_nothing_are_warned_of" {
  command = plan
  variables {
    nodes = [{ url = "http://10.0.0.11:8545" }]
  }
  expect_failures = [check.tasks_that_share_nothing_have_nodes_with_sockets]
}

run "a_proxy_that_is_no_network_is_refused" {
  command = plan
  variables {
    trusted_proxies = ["10.0.0.1"]
  }
  expect_failures = [var.trusted_proxies]
}

run "a_section_that_the_module_writes_is_refused" {
  command = plan
  variables {
    settings = { registry = { kind = "embedded" } }
  }
  expect_failures = [var.settings]
}

run "chains_among_settings_are_refused" {
  command = plan
  variables {
    settings = { chains = { ethereum = { id = 1 } } }
  }
  expect_failures = [var.settings]
}

run "settings_that_are_no_map_is_refused" {
  command = plan
  variables {
    settings = "health"
  }
  expect_failures = [var.settings]
}

run "a_lame_duck_that_dies_too_soon_is_refused" {
  command = plan
  variables {
    lame_duck_seconds = 9
  }
  expect_failures = [var.lame_duck_seconds]
}

run "an_end_longer_than_ecs_waits_is_refused" {
  command = plan
  variables {
    lame_duck_seconds = 20
    drain_seconds     = 91
  }
  expect_failures = [var.drain_seconds]
}

run "a_table_name_that_leaves_no_room_for_its_state_is_refused" {
  command = plan
  variables {
    table_name = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
  }
  expect_failures = [var.table_name]
}

run "an_existing_table_without_its_name_is_refused" {
  command = plan
  variables {
    create_table = false
  }
  expect_failures = [var.create_table]
}

run "a_load_balancer_that_keeps_connections_longer_than_forebay_is_refused" {
  command = plan
  override_data {
    target = data.aws_lb.this
    values = { idle_timeout = 75, security_groups = ["sg-0a1b2c3d4e5f60001"], subnets = ["subnet-1a"], vpc_id = "vpc-0123456789abcdef0" }
  }
  expect_failures = [data.aws_lb.this]
}

run "heavy_calls_longer_than_the_load_balancer_waits_are_warned_of" {
  command = plan
  variables {
    settings = { calls = { heavy = "2m" } }
  }
  expect_failures = [check.heavy_calls_end_before_the_load_balancer_does]
}

run "an_alias_among_the_keys_is_refused" {
  command = plan
  variables {
    kms_key_arns = { logs = "arn:aws:kms:eu-central-1:123456789012:alias/mine" }
  }
  expect_failures = [var.kms_key_arns]
}

run "a_boundary_that_is_no_policy_is_refused" {
  command = plan
  variables {
    permissions_boundary_arn = "arn:aws:iam::123456789012:role/mine"
  }
  expect_failures = [var.permissions_boundary_arn]
}

run "a_key_s_alias_is_refused" {
  command = plan
  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:alias/mine"
  }
  expect_failures = [var.kms_key_arn]
}

run "a_sidecar_whose_end_ends_the_task_is_refused" {
  command = plan
  variables {
    sidecars = [{ name = "collector", image = "example/collector:1" }]
  }
  expect_failures = [var.sidecars]
}

run "an_admin_interface_for_no_network_is_refused" {
  command = plan
  variables {
    admin = { token_secret_arn = "arn:aws:ssm:eu-central-1:123456789012:parameter/forebay/leader-url", security_group_ids = [] }
  }
  expect_failures = [var.admin]
}

run "days_that_cloudwatch_has_not_is_refused" {
  command = plan
  variables {
    log_retention_days = 31
  }
  expect_failures = [var.log_retention_days]
}

run "a_topic_s_name_for_its_arn_is_refused" {
  command = plan
  variables {
    alarm_topic_arn = "oncall"
  }
  expect_failures = [var.alarm_topic_arn]
}

run "an_address_that_is_none_is_refused" {
  command = plan
  variables {
    alarm_emails = ["oncall"]
  }
  expect_failures = [var.alarm_emails]
}

run "an_alarm_that_never_rings_is_refused" {
  command = plan
  variables {
    alarm_at = { healthy_nodes_min = 0 }
  }
  expect_failures = [var.alarm_at]
}

run "an_alarm_past_an_hour_is_refused" {
  command = plan
  variables {
    alarm_at = { fallback_minutes = 61 }
  }
  expect_failures = [var.alarm_at]
}

run "a_share_past_all_is_refused" {
  command = plan
  variables {
    alarm_at = { error_percent = 101 }
  }
  expect_failures = [var.alarm_at]
}

run "an_alarm_after_a_certificate_s_end_is_refused" {
  command = plan
  variables {
    alarm_at = { certificate_days = 0 }
  }
  expect_failures = [var.alarm_at]
}

run "a_channel_s_name_for_its_id_is_refused" {
  command = plan
  variables {
    slack = { workspace_id = "T07EA123LEP", channel_id = "#oncall" }
  }
  expect_failures = [var.slack]
}

run "a_table_with_another_key_is_refused" {
  command = plan
  variables {
    create_table = false
    table_name   = "users"
  }
  override_data {
    target = data.aws_dynamodb_table.backends[0]
    values = { hash_key = "id" }
  }
  expect_failures = [data.aws_dynamodb_table.backends]
}

run "two_chains_without_a_default_is_refused" {
  command = plan
  variables {
    chains = { ethereum = { id = 1 }, base = { id = 8453 } }
  }
  expect_failures = [var.chains]
}

run "two_chains_of_one_id_is_refused" {
  command = plan
  variables {
    chains = { ethereum = { id = 1, default = true }, mainnet = { id = 1 } }
  }
  expect_failures = [var.chains]
}

run "a_chain_s_name_that_is_taken_is_refused" {
  command = plan
  variables {
    chains = { health = { id = 1, default = true } }
  }
  expect_failures = [var.chains]
}

run "a_chain_whose_table_would_be_another_s_state_is_refused" {
  command = plan
  variables {
    chains = { ethereum = { id = 1, default = true }, state = { id = 2 } }
  }
  expect_failures = [var.chains]
}

run "one_host_for_two_chains_is_refused" {
  command = plan
  variables {
    chains = { ethereum = { id = 1, default = true, host_names = ["a.example.com"] }, base = { id = 8453, host_names = ["a.example.com"] } }
  }
  expect_failures = [var.chains]
}

run "a_chain_s_leader_in_the_clear_is_refused" {
  command = plan
  variables {
    chains = { ethereum = { id = 1, default = true, leader_url_secret_arn = "https://mainnet.example.com/key" } }
  }
  expect_failures = [var.chains]
}

run "a_chain_s_section_of_the_process_is_refused" {
  command = plan
  variables {
    chains         = { ethereum = { id = 1, default = true } }
    chain_settings = { ethereum = { listen = {} } }
  }
  expect_failures = [var.chain_settings]
}

run "a_chain_s_priority_past_the_last_is_refused" {
  command = plan
  variables {
    chains = { ethereum = { id = 1, default = true, host_names = ["a.example.com"], listener_rule_priority = 50001 } }
  }
  expect_failures = [var.chains]
}

run "a_priority_without_a_rule_is_refused" {
  command = plan
  variables {
    chains = { ethereum = { id = 1, default = true, listener_rule_priority = 7 } }
  }
  expect_failures = [var.chains]
}

run "one_priority_for_two_chains_is_refused" {
  command = plan
  variables {
    chains = {
      ethereum = { id = 1, default = true, host_names = ["a.example.com"], listener_rule_priority = 7 }
      base     = { id = 8453, host_names = ["b.example.com"], listener_rule_priority = 7 }
    }
  }
  expect_failures = [var.chains]
}

run "the_module_s_own_priority_for_a_chain_is_refused" {
  command = plan
  variables {
    listener_rule_priority = 7
    chains                 = { ethereum = { id = 1, default = true, host_names = ["a.example.com"], listener_rule_priority = 7 } }
  }
  expect_failures = [var.chains]
}

run "a_weight_beyond_1000_of_a_chain_s_node_is_refused" {
  command = plan
  variables {
    chains = { ethereum = { id = 1, default = true, nodes = [{ url = "http://10.0.0.11:8545", weight = 1001 }] } }
  }
  expect_failures = [var.chains]
}

run "in_flight_max_of_a_node_beyond_its_range_is_refused" {
  command = plan
  variables {
    nodes = [{ url = "http://10.0.0.11:8545", in_flight_max = 10001 }]
  }
  expect_failures = [var.nodes]
}

run "in_flight_max_of_a_chain_s_node_beyond_its_range_is_refused" {
  command = plan
  variables {
    chains = { ethereum = { id = 1, default = true, nodes = [{ url = "http://10.0.0.11:8545", in_flight_max = 10001 }] } }
  }
  expect_failures = [var.chains]
}

run "recent_blocks_of_a_node_beyond_its_range_is_refused" {
  command = plan
  variables {
    nodes = [{ url = "http://10.0.0.11:8545", recent_blocks = 1.5 }]
  }
  expect_failures = [var.nodes]
}

run "recent_blocks_of_a_chain_s_node_beyond_its_range_is_refused" {
  command = plan
  variables {
    chains = { ethereum = { id = 1, default = true, nodes = [{ url = "http://10.0.0.11:8545", recent_blocks = 1.5 }] } }
  }
  expect_failures = [var.chains]
}

run "nodes_of_one_chain_alone_beside_chains_is_refused" {
  command = plan
  variables {
    chains = { ethereum = { id = 1, default = true } }
    nodes  = [{ url = "http://10.0.0.11:8545", ws_url = "ws://10.0.0.11:8546" }]
  }
  expect_failures = [aws_ecs_service.this]
}

run "the_largest_of_everything_is_taken" {
  command = plan
  variables {
    name                   = "a12345678901234567890123"
    host_names             = ["a.ex.com", "b.ex.com", "c.ex.com", "d.ex.com", "*.ex.com"]
    listener_rule_priority = 50000
    cpu                    = 16384
    memory                 = 122880
    lame_duck_seconds      = 20
    drain_seconds          = 90
    nodes                  = [{ url = "http://10.0.0.11:8545", weight = 1000 }, { url = "http://10.0.0.12:8545", weight = 0 }]
    shared_store           = { url = "rediss://cache.internal:6379", security_group_id = "sg-0a1b2c3d4e5f60004" }
    alarm_at               = { fallback_minutes = 60, error_percent = 100 }
  }
}

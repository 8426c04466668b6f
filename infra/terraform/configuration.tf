# Forebay's configuration, written from the inputs. It holds no secret: keys come as environment
# variables, and stand here as ${NAME}.

locals {
  ports = { http = 8545, metrics = 9090, admin = 9091 }

  leader = var.leader_url_secret_arn == null ? [] : [
    { name = "leader", url = "$${LEADER_URL}", leader = true }
  ]
  nodes = concat(local.leader, [
    for node in var.nodes : { for key, value in node : key => value if value != null }
  ])

  # Of each chain that has one: LEADER_URL_OP_SEPOLIA, say.
  leader_variables = {
    for name, chain in var.chains : name => "LEADER_URL_${upper(replace(name, "-", "_"))}"
    if chain.leader_url_secret_arn != null
  }
  chains = {
    for name, chain in var.chains : name => merge(
      try(var.chain_settings[name], {}),
      { id = chain.id },
      chain.default ? { default = true } : {},
      chain.block_time == null ? {} : { block_time = chain.block_time },
      length(chain.host_names) == 0 ? {} : { hosts = chain.host_names },
      chain.default ? {} : { registry = { table = local.chain_tables[name] } },
      { nodes = concat(
        contains(keys(local.leader_variables), name) ? [{ name = "leader", url = "$${${local.leader_variables[name]}}", leader = true }] : [],
        [for node in chain.nodes : { for key, value in node : key => value if value != null }],
      ) },
    )
  }

  # The load balancer's own networks, unless told.
  trusted_proxies = var.trusted_proxies != null ? var.trusted_proxies : distinct([for subnet in data.aws_subnet.load_balancer : subnet.cidr_block])

  owned = {
    listen = merge(
      { http = ["0.0.0.0:${local.ports.http}"], metrics = "0.0.0.0:${local.ports.metrics}" },
      var.admin == null ? {} : { admin = "0.0.0.0:${local.ports.admin}" },
      length(local.trusted_proxies) == 0 ? {} : { trusted_proxies = local.trusted_proxies },
    )
    registry = {
      kind      = "dynamodb"
      table     = local.table_name
      last_list = "data/last-list.json"
    }
    cloudwatch = { namespace = "Forebay", service = var.name }
    shutdown   = { lame_duck = "${var.lame_duck_seconds}s", drain = "${var.drain_seconds}s" }
  }

  configuration = yamlencode({
    version                      = 1
    threads                      = max(1, floor(var.cpu / 1024))
    upstream_keepalive_pool_size = 512
    forebay = merge(
      var.settings,
      length(var.chains) == 0 ? { chain = merge({ id = var.chain_id }, try(var.settings.chain, {})) } : {},
      length(var.chains) == 0 ? {} : { chains = local.chains },
      local.owned,
      var.shared_store == null ? {} : { shared = { kind = "valkey", url = var.shared_store.url } },
      length(local.nodes) == 0 ? {} : { nodes = local.nodes },
      var.admin == null ? {} : { admin = { token = "$${FOREBAY_ADMIN_TOKEN}" } },
    )
  })

  secrets = merge(
    var.secrets,
    var.leader_url_secret_arn == null ? {} : { LEADER_URL = var.leader_url_secret_arn },
    { for name, variable in local.leader_variables : variable => var.chains[name].leader_url_secret_arn },
    var.admin == null ? {} : { FOREBAY_ADMIN_TOKEN = var.admin.token_secret_arn },
  )
}

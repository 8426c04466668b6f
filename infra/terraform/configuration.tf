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
      { chain = merge({ id = var.chain_id }, try(var.settings.chain, {})) },
      local.owned,
      length(local.nodes) == 0 ? {} : { nodes = local.nodes },
      var.admin == null ? {} : { admin = { token = "$${FOREBAY_ADMIN_TOKEN}" } },
    )
  })

  secrets = merge(
    var.secrets,
    var.leader_url_secret_arn == null ? {} : { LEADER_URL = var.leader_url_secret_arn },
    var.admin == null ? {} : { FOREBAY_ADMIN_TOKEN = var.admin.token_secret_arn },
  )
}

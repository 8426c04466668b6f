# What Forebay balances.

variable "chain_id" {
  description = "The chain's id; nodes with another one get no calls."
  type        = number
  default     = 1

  validation {
    condition     = var.chain_id >= 1 && floor(var.chain_id) == var.chain_id
    error_message = "chain_id must be a whole number from 1, such as 1 for Ethereum's mainnet."
  }
}

variable "leader_url_secret_arn" {
  description = "An SSM parameter or Secrets Manager secret with the leader's whole URL, key and all. It becomes LEADER_URL, and a node `leader` of a registry that is still empty."
  type        = string
  default     = null

  validation {
    condition     = var.leader_url_secret_arn == null ? true : can(regex("^arn:[a-z-]+:(ssm:[a-z0-9-]+:[0-9]{12}:parameter/|secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:)", var.leader_url_secret_arn))
    error_message = "leader_url_secret_arn must be the ARN of an SSM parameter or of a Secrets Manager secret, not the URL itself."
  }
}

variable "secrets" {
  description = "More secrets as environment variables, name to ARN; nodes use them as $${NAME}. A key of a JSON secret is written ARN:KEY::."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for arn in values(var.secrets) : can(regex("^arn:[a-z-]+:(ssm:[a-z0-9-]+:[0-9]{12}:parameter/|secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:)", arn))])
    error_message = "secrets must be ARNs of SSM parameters or Secrets Manager secrets, never the values."
  }
  validation {
    condition     = alltrue([for name in keys(var.secrets) : can(regex("^[A-Z][A-Z0-9_]*$", name)) && !startswith(name, "AWS_") && !contains(["FOREBAY_CONFIG", "FOREBAY_ADMIN_TOKEN", "LEADER_URL"], name)])
    error_message = "secrets' names are upper-case letters, digits and _; AWS_…, FOREBAY_CONFIG, FOREBAY_ADMIN_TOKEN and LEADER_URL are taken."
  }
}

variable "nodes" {
  description = "Written into a registry in which nothing was ever written; afterwards the registry rules. Keys belong into secrets: url = \"https://host/$${KEY}\" in the registry, written $$${KEY} in Terraform."
  type = list(object({
    url           = string
    name          = optional(string)
    weight        = optional(number)
    fallback      = optional(bool)
    leader        = optional(bool)
    ws_url        = optional(string)
    headers       = optional(map(string))
    in_flight_max = optional(number)
    serves        = optional(list(string))
    recent_blocks = optional(number)
  }))
  default = []

  validation {
    condition     = alltrue([for node in var.nodes : can(regex("^(https?://|[$][{])", node.url)) && !can(regex("^https?://[^/]*@", node.url))])
    error_message = "a node's url begins with http://, https:// or $${NAME}, and holds no user:password@."
  }
  validation {
    condition     = alltrue([for node in var.nodes : node.weight == null ? true : node.weight >= 0 && node.weight <= 1000])
    error_message = "a node's weight is from 0 (drained) to 1000."
  }
  validation {
    condition     = alltrue([for node in var.nodes : node.in_flight_max == null ? true : node.in_flight_max >= 1 && node.in_flight_max <= 10000 && floor(node.in_flight_max) == node.in_flight_max])
    error_message = "a node's in_flight_max is a whole number from 1 to 10000; left out, it is found."
  }
  validation {
    condition     = alltrue([for node in var.nodes : node.recent_blocks == null ? true : node.recent_blocks >= 1 && node.recent_blocks <= 1000000000 && floor(node.recent_blocks) == node.recent_blocks])
    error_message = "a node's recent_blocks is a whole number from 1 to 1000000000; left out, it is asked for all."
  }
  validation {
    condition     = length([for node in var.nodes : node if node.leader == true]) + (var.leader_url_secret_arn == null ? 0 : 1) <= 1
    error_message = "at most one node is the leader; leader_url_secret_arn makes one already."
  }
}

variable "chains" {
  description = "Several chains behind one Forebay, by name. One is the default: it answers at /, too, and has the tables that there are; each other one has two of its own, TABLE-NAME and what is beside it. The rule for its host_names takes listener_rule_priority, the next free one if left out. The leader's secret becomes LEADER_URL_NAME. chain_id, nodes and leader_url_secret_arn are of one chain alone: leave them out."
  type = map(object({
    id                     = number
    default                = optional(bool, false)
    block_time             = optional(string)
    host_names             = optional(list(string), [])
    listener_rule_priority = optional(number)
    leader_url_secret_arn  = optional(string)
    table_name             = optional(string)
    nodes = optional(list(object({
      url           = string
      name          = optional(string)
      weight        = optional(number)
      fallback      = optional(bool)
      leader        = optional(bool)
      ws_url        = optional(string)
      headers       = optional(map(string))
      in_flight_max = optional(number)
      serves        = optional(list(string))
      recent_blocks = optional(number)
    })), [])
  }))
  default = {}

  validation {
    condition     = alltrue([for name in keys(var.chains) : can(regex("^[a-z][a-z0-9-]{0,31}$", name)) && !contains(["rpc", "health", "metrics", "status", "backends", "local"], name) && !endswith(name, "state")])
    error_message = "chains' names are 1 to 32 of a-z, 0-9 and -, from a letter on; rpc, health, metrics, status, backends and local are taken, and tables end in state."
  }
  validation {
    condition     = length(var.chains) == 0 || length([for chain in values(var.chains) : chain if chain.default]) == 1
    error_message = "one of the chains is the default: write default = true in it."
  }
  validation {
    condition     = length(distinct([for chain in values(var.chains) : chain.id])) == length(var.chains)
    error_message = "two chains have one id."
  }
  validation {
    condition     = alltrue([for chain in values(var.chains) : length(chain.host_names) <= 5]) && length(distinct(flatten([for chain in values(var.chains) : chain.host_names]))) == length(flatten([for chain in values(var.chains) : chain.host_names]))
    error_message = "a chain has up to five host_names (a listener rule takes no more), and no two have the same."
  }
  validation {
    condition     = alltrue([for name in flatten([for chain in values(var.chains) : chain.host_names]) : can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", name))])
    error_message = "chains' host_names are lower-case DNS names without a scheme, a port, a path or a star."
  }
  validation {
    condition     = alltrue([for chain in values(var.chains) : chain.listener_rule_priority == null ? true : chain.listener_rule_priority >= 1 && chain.listener_rule_priority <= 50000 && length(chain.host_names) > 0])
    error_message = "a chain's listener_rule_priority must be from 1 to 50000, and goes with host_names."
  }
  validation {
    condition     = alltrue([for name, chain in var.chains : chain.listener_rule_priority == null ? true : !contains(concat([var.listener_rule_priority], [for other, it in var.chains : it.listener_rule_priority if other != name]), chain.listener_rule_priority)])
    error_message = "two rules have one listener_rule_priority: each chain's is its own, and none is the module's."
  }
  validation {
    condition     = alltrue([for chain in values(var.chains) : chain.leader_url_secret_arn == null ? true : can(regex("^arn:[a-z-]+:(ssm:[a-z0-9-]+:[0-9]{12}:parameter/|secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:)", chain.leader_url_secret_arn))])
    error_message = "a chain's leader_url_secret_arn must be the ARN of an SSM parameter or of a Secrets Manager secret, not the URL itself."
  }
  validation {
    condition     = alltrue([for chain in values(var.chains) : length([for node in chain.nodes : node if node.leader == true]) + (chain.leader_url_secret_arn == null ? 0 : 1) <= 1])
    error_message = "at most one node of a chain is the leader; leader_url_secret_arn makes one already."
  }
  validation {
    condition     = alltrue([for node in flatten([for chain in values(var.chains) : chain.nodes]) : can(regex("^(https?://|[$][{])", node.url)) && !can(regex("^https?://[^/]*@", node.url))])
    error_message = "a node's url begins with http://, https:// or $${NAME}, and holds no user:password@."
  }
  validation {
    condition     = alltrue([for node in flatten([for chain in values(var.chains) : chain.nodes]) : node.weight == null ? true : node.weight >= 0 && node.weight <= 1000])
    error_message = "a node's weight is from 0 (drained) to 1000."
  }
  validation {
    condition     = alltrue([for node in flatten([for chain in values(var.chains) : chain.nodes]) : node.in_flight_max == null ? true : node.in_flight_max >= 1 && node.in_flight_max <= 10000 && floor(node.in_flight_max) == node.in_flight_max])
    error_message = "a node's in_flight_max is a whole number from 1 to 10000; left out, it is found."
  }
  validation {
    condition     = alltrue([for node in flatten([for chain in values(var.chains) : chain.nodes]) : node.recent_blocks == null ? true : node.recent_blocks >= 1 && node.recent_blocks <= 1000000000 && floor(node.recent_blocks) == node.recent_blocks])
    error_message = "a node's recent_blocks is a whole number from 1 to 1000000000; left out, it is asked for all."
  }
}

variable "chain_settings" {
  description = "More of a chain's configuration, by its name and section, over what settings say for all: { base = { health = { lag_blocks_max = 60 } } }."
  type        = any
  default     = {}

  validation {
    condition     = can(keys(var.chain_settings)) ? alltrue([for sections in values(var.chain_settings) : length(setsubtract(keys(sections), ["health", "calls", "consistency", "methods", "cache", "cors"])) == 0]) : false
    error_message = "chain_settings is a map of chains' names to sections: health, calls, consistency, methods, cache, cors."
  }
}

variable "node_cidrs" {
  description = "Networks in which the nodes stand. The tasks may reach node_ports there, and port 443 anywhere."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.node_cidrs : can(cidrhost(cidr, 0)) && !strcontains(cidr, ":")])
    error_message = "node_cidrs are IPv4 networks such as 10.0.0.0/16."
  }
}

variable "node_ports" {
  description = "The nodes' ports: HTTP and WebSocket."
  type        = list(number)
  default     = [8545, 8546]

  validation {
    condition     = alltrue([for port in var.node_ports : port >= 1 && port <= 65535])
    error_message = "node_ports are from 1 to 65535."
  }
}

variable "settings" {
  description = "More of Forebay's configuration, by section, as docs/reference/settings.md has it: { health = { lag_blocks_max = 5 } }. Not the sections that this module writes."
  type        = any
  default     = {}

  validation {
    condition     = can(keys(var.settings)) ? length(setintersection(keys(var.settings), ["listen", "registry", "cloudwatch", "shutdown", "chains", "shared", "nodes", "admin"])) == 0 : false
    error_message = "settings is a map of sections such as chain, health and calls; listen, registry, cloudwatch, shutdown, chains, shared, nodes and admin follow from this module's other inputs."
  }
}

variable "shared_store" {
  description = "An existing Valkey or Redis, such as ElastiCache, by which the tasks share heads and clients' own writes at once: its URL, rediss:// for TLS, with $${NAME} of secrets for its password (written $$${NAME} in Terraform), its security group and its port. None is made here."
  type = object({
    url               = string
    security_group_id = string
    port              = optional(number, 6379)
  })
  default = null

  validation {
    condition     = var.shared_store == null ? true : can(regex("^rediss?://", var.shared_store.url)) && can(regex("^sg-", var.shared_store.security_group_id))
    error_message = "shared_store.url begins with redis:// or rediss://, and security_group_id with sg-."
  }
}

variable "trusted_proxies" {
  description = "Networks whose X-Forwarded-For is believed, so that clients' addresses are theirs and not the load balancer's; its own subnets if left out. []: nobody's."
  type        = list(string)
  default     = null

  validation {
    condition     = var.trusted_proxies == null ? true : alltrue([for network in var.trusted_proxies : can(cidrhost(network, 0))])
    error_message = "trusted_proxies are networks such as 10.0.0.0/16."
  }
}

variable "lame_duck_seconds" {
  description = "After SIGTERM: not healthy any more, still serving. Longer than the 10 s in which the target group notices."
  type        = number
  default     = 15

  validation {
    condition     = var.lame_duck_seconds >= 10
    error_message = "lame_duck_seconds must be 10 or more: so long the target group takes to turn away."
  }
}

variable "drain_seconds" {
  description = "Then: time for the calls in flight."
  type        = number
  default     = 60

  validation {
    condition     = var.drain_seconds >= 1 && var.lame_duck_seconds + var.drain_seconds <= 110
    error_message = "lame_duck_seconds and drain_seconds must stay within 110 together: ECS kills a task 120 s after SIGTERM."
  }
}

# The registry.

variable "table_name" {
  description = "The node table; NAME-backends if left out. Its state table is called TABLE-state."
  type        = string
  default     = null

  validation {
    condition     = var.table_name == null ? true : can(regex("^[a-zA-Z0-9_.-]{3,249}$", var.table_name))
    error_message = "table_name must be 3 to 249 letters, digits and . _ - (DynamoDB allows 255, and -state comes after it)."
  }
}

variable "create_table" {
  description = "false: the node table is there already, say from the 2018 stack, and is left as it is. The state table is made in any case."
  type        = bool
  default     = true

  validation {
    condition     = var.create_table || var.table_name != null
    error_message = "create_table = false needs table_name: the table that is there."
  }
}

variable "kms_key_arn" {
  description = "A key of yours for tables, images, logs and alarms; AWS's own keys if left out. Its policy must let CloudWatch Logs and CloudWatch alarms use it."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "kms_key_arn must be a key's ARN (…:key/…), not an alias."
  }
}

variable "kms_key_arns" {
  description = "A key for each use, where one for all won't do: tables, images, logs, alarms, secrets. What is left out goes by kms_key_arn."
  type = object({
    tables  = optional(string)
    images  = optional(string)
    logs    = optional(string)
    alarms  = optional(string)
    secrets = optional(string)
  })
  default = {}

  validation {
    condition     = alltrue([for key in values(var.kms_key_arns) : key == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", key))])
    error_message = "kms_key_arns must be keys' ARNs (…:key/…), not aliases."
  }
}

variable "permissions_boundary_arn" {
  description = "A managed policy that bounds the roles made here, where your account asks for one."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null ? true : can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be a managed policy's ARN (arn:aws:iam::ACCOUNT:policy/NAME)."
  }
}

variable "load_balancer_egress" {
  description = "Let the load balancer's security groups out to the tasks. false: they may go everywhere, or their rules are kept elsewhere."
  type        = bool
  default     = true
}

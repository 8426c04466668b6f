# What must be said: where it runs, under which name it is called, who leads.

variable "name" {
  description = "Names everything here, and is the dimension `Service` of the metrics."
  type        = string
  default     = "forebay"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 24 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "cluster_name" {
  description = "The ECS cluster that the service joins."
  type        = string

  validation {
    condition     = !startswith(var.cluster_name, "arn:")
    error_message = "cluster_name is the cluster's name, not its ARN."
  }
}

variable "subnet_ids" {
  description = "Subnets of the load balancer's VPC for the tasks, private ones, in two zones or more. They need a way to ECR, CloudWatch Logs, DynamoDB and the secrets: NAT or VPC endpoints."
  type        = list(string)

  validation {
    condition     = length(distinct(var.subnet_ids)) >= 2
    error_message = "subnet_ids must name at least two subnets, in different zones: one zone's outage must leave a task."
  }
}

variable "listener_arn" {
  description = "The Application Load Balancer's HTTPS listener that gets a rule for host_names."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:listener/app/", var.listener_arn))
    error_message = "listener_arn must be the ARN of an Application Load Balancer's listener (…:listener/app/…)."
  }
}

variable "listener_rule_priority" {
  description = "The rule's place among the listener's rules, 1 to 50000; the next free one if left out."
  type        = number
  default     = null

  validation {
    condition     = var.listener_rule_priority == null ? true : var.listener_rule_priority >= 1 && var.listener_rule_priority <= 50000
    error_message = "listener_rule_priority must be from 1 to 50000."
  }
}

variable "host_names" {
  description = "The names under which callers reach Forebay, for example [\"rpc.example.com\"]. The listener's certificate must cover them."
  type        = list(string)

  validation {
    condition     = length(var.host_names) >= 1 && length(var.host_names) <= 5
    error_message = "host_names must hold one to five names: a listener rule takes no more values."
  }
  validation {
    condition     = alltrue([for name in var.host_names : can(regex("^([a-z0-9*]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", name))])
    error_message = "host_names are lower-case DNS names without a scheme, a port or a path."
  }
}

variable "route53_zone_id" {
  description = "The hosted zone in which host_names get alias records; none are made if left out."
  type        = string
  default     = null

  validation {
    condition     = var.route53_zone_id == null ? true : can(regex("^Z[A-Z0-9]+$", var.route53_zone_id))
    error_message = "route53_zone_id must look like Z0123456789ABC."
  }
}

variable "assign_public_ip" {
  description = "Only for tasks in public subnets without NAT."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags of everything that can have some."
  type        = map(string)
  default     = {}
}

# The image and the size.

variable "image" {
  description = "A full image reference. Left out, an ECR repository is made, and its image with image_tag is run."
  type        = string
  default     = null

  validation {
    condition     = var.image == null ? true : can(regex("[:@]", reverse(split("/", var.image))[0]))
    error_message = "image must name a tag or a digest: what runs must not change by itself."
  }
}

variable "image_tag" {
  description = "The tag to run from the ECR repository made here."
  type        = string
  default     = null

  validation {
    condition     = (var.image == null) != (var.image_tag == null)
    error_message = "say either image (a full reference) or image_tag (of the repository made here)."
  }
  validation {
    condition     = var.image_tag != "latest"
    error_message = "image_tag must name a version: tags of the repository never move, so there is no latest."
  }
}

variable "cpu_architecture" {
  description = "X86_64 or ARM64, as the image was built."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.cpu_architecture)
    error_message = "cpu_architecture must be X86_64 or ARM64."
  }
}

variable "cpu" {
  description = "CPU units of a task: 1024 are one core, and one thread of Forebay's."
  type        = number
  default     = 1024

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096, 8192, 16384], var.cpu)
    error_message = "cpu must be one that Fargate has: 256, 512, 1024, 2048, 4096, 8192 or 16384."
  }
}

variable "memory" {
  description = "MiB of a task."
  type        = number
  default     = 2048

  validation {
    condition = contains(lookup({
      256   = [512, 1024, 2048]
      512   = range(1024, 4097, 1024)
      1024  = range(2048, 8193, 1024)
      2048  = range(4096, 16385, 1024)
      4096  = range(8192, 30721, 1024)
      8192  = range(16384, 61441, 4096)
      16384 = range(32768, 122881, 8192)
    }, var.cpu, []), var.memory)
    error_message = "Fargate has no such pair of cpu and memory; for 1024 CPU units it is 2048 to 8192 MiB in steps of 1024."
  }
}

variable "tasks_min" {
  description = "The least number of tasks."
  type        = number
  default     = 2

  validation {
    condition     = var.tasks_min >= 2 && floor(var.tasks_min) == var.tasks_min
    error_message = "tasks_min must be 2 or more: one task is down while it is replaced."
  }
}

variable "tasks_max" {
  description = "The largest number of tasks."
  type        = number
  default     = 6

  validation {
    condition     = var.tasks_max >= var.tasks_min && floor(var.tasks_max) == var.tasks_max
    error_message = "tasks_max must not be less than tasks_min."
  }
}

variable "scale_at" {
  description = "What a task is to carry on average: CPU in percent, and requests a minute (no such rule if left out)."
  type = object({
    cpu_percent         = optional(number, 50)
    requests_per_minute = optional(number)
  })
  default = {}

  validation {
    condition     = var.scale_at.cpu_percent >= 10 && var.scale_at.cpu_percent <= 90
    error_message = "scale_at.cpu_percent must be from 10 to 90."
  }
  validation {
    condition     = var.scale_at.requests_per_minute == null ? true : var.scale_at.requests_per_minute > 0
    error_message = "scale_at.requests_per_minute must be above 0."
  }
}

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
    url      = string
    name     = optional(string)
    weight   = optional(number)
    fallback = optional(bool)
    leader   = optional(bool)
    ws_url   = optional(string)
    headers  = optional(map(string))
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
    condition     = length([for node in var.nodes : node if node.leader == true]) + (var.leader_url_secret_arn == null ? 0 : 1) <= 1
    error_message = "at most one node is the leader; leader_url_secret_arn makes one already."
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
  description = "More of Forebay's configuration, by section, as the README has it: { health = { lag_blocks_max = 5 } }. Not the sections that this module writes."
  type        = any
  default     = {}

  validation {
    condition     = can(keys(var.settings)) ? length(setintersection(keys(var.settings), ["listen", "registry", "nodes", "admin", "cloudwatch", "shutdown"])) == 0 : false
    error_message = "settings is a map of sections such as chain, health and calls; listen, registry, nodes, admin, cloudwatch and shutdown follow from this module's other inputs."
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

# Who may look.

variable "metrics_security_group_ids" {
  description = "Who may scrape /metrics on port 9090."
  type        = list(string)
  default     = []
}

variable "service_discovery_namespace_id" {
  description = "A Cloud Map private DNS namespace: Prometheus then finds the tasks as NAME.NAMESPACE, port 9090."
  type        = string
  default     = null
}

variable "sidecars" {
  description = "More containers of the task, as container definitions: a collector that reads http://127.0.0.1:9090/metrics, for example. Their logs and rights are yours to give."
  type        = any
  default     = []

  validation {
    condition     = alltrue([for container in var.sidecars : try(container.name != "forebay" && container.essential == false, false)])
    error_message = "sidecars are container definitions with a name other than forebay and essential = false: a collector's end must not end a balancer."
  }
}

variable "admin" {
  description = "The admin interface and status page on port 9091, for these security groups, with the token from this secret. Off if left out."
  type = object({
    token_secret_arn   = string
    security_group_ids = list(string)
  })
  default = null

  validation {
    condition     = var.admin == null ? true : can(regex("^arn:[a-z-]+:(ssm|secretsmanager):", var.admin.token_secret_arn)) && length(var.admin.security_group_ids) > 0
    error_message = "admin needs the ARN of the token's secret and at least one security group that may come in."
  }
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827], var.log_retention_days)
    error_message = "log_retention_days must be one that CloudWatch has, such as 30, 90 or 365."
  }
}

# Who is told.

variable "alarm_topic_arn" {
  description = "An SNS topic for the alarms; one is made if left out."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_topic_arn == null ? true : can(regex("^arn:[a-z-]+:sns:", var.alarm_topic_arn))
    error_message = "alarm_topic_arn must be the ARN of an SNS topic."
  }
}

variable "alarm_emails" {
  description = "Who gets the alarms by e-mail; each must confirm once."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.alarm_emails : can(regex("^[^@ ]+@[^@ ]+$", address))])
    error_message = "alarm_emails are e-mail addresses."
  }
}

variable "alarm_at" {
  description = "When to call: fewer healthy own nodes than this, minutes on the fallback, percent of requests answered with 5xx."
  type = object({
    healthy_nodes_min = optional(number, 1)
    fallback_minutes  = optional(number, 5)
    error_percent     = optional(number, 1)
  })
  default = {}

  validation {
    condition     = var.alarm_at.healthy_nodes_min >= 1 && var.alarm_at.fallback_minutes >= 1 && var.alarm_at.fallback_minutes <= 60
    error_message = "alarm_at.healthy_nodes_min is from 1, alarm_at.fallback_minutes from 1 to 60."
  }
  validation {
    condition     = var.alarm_at.error_percent > 0 && var.alarm_at.error_percent <= 100
    error_message = "alarm_at.error_percent is above 0, and at most 100."
  }
}

variable "slack" {
  description = "A Slack channel for the alarms, through Amazon Q Developer in chat applications. The workspace is authorised once by hand in its console."
  type = object({
    workspace_id = string
    channel_id   = string
  })
  default = null

  validation {
    condition     = var.slack == null ? true : can(regex("^T[0-9A-Z]{6,}$", var.slack.workspace_id)) && can(regex("^[CG][0-9A-Z]{6,}$", var.slack.channel_id))
    error_message = "slack.workspace_id looks like T07EA123LEP, slack.channel_id like C07EZ1ABC23: copy the channel's link."
  }
}

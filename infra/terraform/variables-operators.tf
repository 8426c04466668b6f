# For those who run it: who may look, and who is told.

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
  description = "When to call: fewer healthy own nodes than this, minutes on the fallback, percent of requests answered with 5xx, percent of calls that no node could answer, milliseconds that one call of a hundred takes, seconds without the registry, 5xx a minute of the load balancer's own, days before a certificate of Forebay's own expires."
  type = object({
    healthy_nodes_min = optional(number, 1)
    fallback_minutes  = optional(number, 5)
    error_percent     = optional(number, 1)

    failed_percent       = optional(number, 1)
    p99_ms               = optional(number, 2500)
    registry_age_seconds = optional(number, 300)
    load_balancer_errors = optional(number, 10)
    certificate_days     = optional(number, 14)
  })
  default = {}

  validation {
    condition     = var.alarm_at.healthy_nodes_min >= 1 && var.alarm_at.fallback_minutes >= 1 && var.alarm_at.fallback_minutes <= 60
    error_message = "alarm_at.healthy_nodes_min is from 1, alarm_at.fallback_minutes from 1 to 60."
  }
  validation {
    condition     = alltrue([for percent in [var.alarm_at.error_percent, var.alarm_at.failed_percent] : percent > 0 && percent <= 100])
    error_message = "alarm_at.error_percent and alarm_at.failed_percent are above 0, and at most 100."
  }
  validation {
    condition     = var.alarm_at.p99_ms > 0 && var.alarm_at.registry_age_seconds >= 60 && var.alarm_at.load_balancer_errors >= 0
    error_message = "alarm_at.p99_ms is above 0, alarm_at.registry_age_seconds at least 60, alarm_at.load_balancer_errors at least 0."
  }
  validation {
    condition     = var.alarm_at.certificate_days >= 1
    error_message = "alarm_at.certificate_days is at least 1."
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

# What must be said: where it runs, under which name it is called, which node leads.

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

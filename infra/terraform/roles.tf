# What each role may do. The task: its tables, and nothing else. ECS itself: pull the image, write
# the log, read the secrets named.

locals {
  keys = { for use, key in var.kms_key_arns : use => key != null ? key : var.kms_key_arn }

  trust = {
    for service in ["ecs-tasks", "chatbot"] : service => jsonencode({
      Version = "2012-10-17"
      Statement = [{
        Effect    = "Allow"
        Action    = "sts:AssumeRole"
        Principal = { Service = "${service}.amazonaws.com" }
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      }]
    })
  }

  tables_statement = {
    Sid    = "Tables"
    Effect = "Allow"
    Action = [
      "dynamodb:ConditionCheckItem",
      "dynamodb:DeleteItem",
      "dynamodb:DescribeTable",
      "dynamodb:GetItem",
      "dynamodb:PutItem",
      "dynamodb:Scan",
      "dynamodb:UpdateItem",
    ]
    Resource = concat([local.table_arn, aws_dynamodb_table.state.arn], values(aws_dynamodb_table.chain)[*].arn)
  }
  tables_key_statement = {
    Sid       = "TablesKey"
    Effect    = "Allow"
    Action    = ["kms:Decrypt", "kms:DescribeKey"]
    Resource  = [local.keys.tables]
    Condition = { StringEquals = { "kms:ViaService" = "dynamodb.${local.region}.amazonaws.com" } }
  }
  task_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat([local.tables_statement], [for key in local.keys.tables[*] : local.tables_key_statement])
  })

  # A secret's ARN without the JSON key that may stand behind it.
  secret_arns = [for arn in values(local.secrets) : strcontains(arn, ":secretsmanager:") ? join(":", slice(split(":", arn), 0, 7)) : arn]

  execution_statements = concat(
    [
      {
        Sid      = "Log"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${aws_cloudwatch_log_group.this.arn}:*"]
      },
    ],
    [
      # The one action that ECR ties to no repository.
      for _ in length(local.repository_arns) == 0 ? [] : [1] : {
        Sid      = "Registry"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = ["*"]
      }
    ],
    [
      for _ in length(local.repository_arns) == 0 ? [] : [1] : {
        Sid      = "Image"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = local.repository_arns
      }
    ],
    [
      for service, actions in { ssm = ["ssm:GetParameters"], secretsmanager = ["secretsmanager:GetSecretValue"] } : {
        Sid                         = service == "ssm" ? "Parameters" : "Secrets"
        Effect                      = "Allow"
        Action                      = actions
        Resource                    = distinct([for arn in local.secret_arns : arn if strcontains(arn, ":${service}:")])
      } if anytrue([for arn in local.secret_arns : strcontains(arn, ":${service}:")])
    ],
    [
      for key in local.keys.secrets[*] : {
        Sid      = "SecretsKey"
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = [key]
        Condition = {
          StringEquals = { "kms:ViaService" = [for service in ["secretsmanager", "ssm"] : "${service}.${local.region}.amazonaws.com"] }
        }
      }
    ],
  )
  execution_policy = jsonencode({ Version = "2012-10-17", Statement = local.execution_statements })
}

resource "aws_iam_role" "task" {
  name                 = "${var.name}-task"
  description          = "What Forebay itself may do: its two tables"
  assume_role_policy   = local.trust["ecs-tasks"]
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags
}

resource "aws_iam_role_policy" "task" {
  name   = "tables"
  role   = aws_iam_role.task.name
  policy = local.task_policy
}

resource "aws_iam_role" "execution" {
  name                 = "${var.name}-execution"
  description          = "What ECS needs to start Forebay: image, log, secrets"
  assume_role_policy   = local.trust["ecs-tasks"]
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags
}

resource "aws_iam_role_policy" "execution" {
  name   = "start"
  role   = aws_iam_role.execution.name
  policy = local.execution_policy
}

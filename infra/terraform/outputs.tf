# What the next step needs.

output "urls" {
  description = "Where callers reach Forebay, if the listener speaks HTTPS on 443."
  value = concat(
    [for name in var.host_names : "https://${name}/"],
    [for name in keys(var.chains) : "https://${var.host_names[0]}/${name}"],
    [for name in flatten([for chain in values(var.chains) : chain.host_names]) : "https://${name}/"],
  )
}

output "repository_url" {
  description = "Where the image is pushed to; null if image names one from elsewhere."
  value       = one(aws_ecr_repository.this[*].repository_url)
}

output "image" {
  description = "The image that runs."
  value       = local.image
}

output "table_name" {
  description = "The node table."
  value       = local.table_name
}

output "state_table_name" {
  description = "The table of leases and shared heads."
  value       = aws_dynamodb_table.state.name
}

output "chain_table_names" {
  description = "The node tables of the chains beside the default one, by chain."
  value       = local.chain_tables
}

output "service_name" {
  description = "The ECS service."
  value       = aws_ecs_service.this.name
}

output "task_role_name" {
  description = "The task's role, for a sidecar that needs more than the tables."
  value       = aws_iam_role.task.name
}

output "task_policy" {
  description = "What the task may do, as JSON."
  value       = local.task_policy
}

output "execution_policy" {
  description = "What ECS may do to start it, as JSON."
  value       = local.execution_policy
}

output "security_group_id" {
  description = "The tasks' security group: let it in at your nodes."
  value       = aws_security_group.task.id
}

output "target_group_arn" {
  description = "For a listener rule of your own, beside the one made here."
  value       = aws_lb_target_group.this.arn
}

output "log_group_name" {
  description = "Logs, and the lines that metrics are taken from."
  value       = aws_cloudwatch_log_group.this.name
}

output "alarm_topic_arn" {
  description = "Where alarms go."
  value       = local.topic_arn
}

output "configuration" {
  description = "Forebay's configuration as the tasks get it; `forebay check` reads it. It holds no secret."
  value       = local.configuration
}

output "next_steps" {
  description = "What to do now, as commands."
  value       = <<-TEXT
    1. Let the tasks in at your nodes: security group ${aws_security_group.task.id}, ports ${join(", ", var.node_ports)}.
    2. Add a node, in a task of its own (--name geth-1 and the URL are yours to choose):
         aws ecs run-task --region ${local.region} --cluster ${var.cluster_name} --launch-type FARGATE \
           --task-definition ${aws_ecs_task_definition.this.family} \
           --network-configuration 'awsvpcConfiguration={subnets=[${join(",", var.subnet_ids)}],securityGroups=[${aws_security_group.task.id}],assignPublicIp=${var.assign_public_ip ? "ENABLED" : "DISABLED"}}' \
           --overrides '{"containerOverrides":[{"name":"forebay","command":["backends","add","http://10.0.0.11:8545","--name","geth-1","-c","${local.configuration_path}"]}]}'
    3. Ask it:
         curl https://${var.host_names[0]}/ -H 'content-type: application/json' -d '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}'
    4. Watch it:
         aws logs tail --region ${local.region} --follow ${aws_cloudwatch_log_group.this.name}
  TEXT
}

# Where the image is kept, unless one from elsewhere is named.

locals {
  image = var.image != null ? var.image : "${aws_ecr_repository.this[0].repository_url}:${var.image_tag}"

  # A repository of somebody else's in ECR, told from the image's name, so that it can be pulled.
  foreign = try(regex("^([0-9]{12})[.]dkr[.]ecr[.]([a-z0-9-]+)[.]amazonaws[.]com[^/]*/([^:@]+)[:@]", var.image), null)
  repository_arns = concat(
    aws_ecr_repository.this[*].arn,
    local.foreign == null ? [] : ["arn:${local.partition}:ecr:${local.foreign[1]}:${local.foreign[0]}:repository/${local.foreign[2]}"],
  )
}

resource "aws_ecr_repository" "this" {
  # checkov:skip=CKV_AWS_136: AWS's own key unless kms_key_arn names another
  count = var.image == null ? 1 : 0

  name                 = var.name
  image_tag_mutability = "IMMUTABLE"
  tags                 = local.tags

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = local.keys.images == null ? "AES256" : "KMS"
    kms_key         = local.keys.images
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  count = var.image == null ? 1 : 0

  repository = aws_ecr_repository.this[0].name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "The last 30 images, for the way back"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 30 }
      action       = { type = "expire" }
    }]
  })
}

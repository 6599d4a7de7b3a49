"""Sending a finished dataset to a bucket of S3 or to the Hugging Face Hub: which files (`content`), where to (`targets`), and `push`."""

from phonics_data.push.push import PushOptions, PushPlan, PushStep, plan_push, push

__all__ = ["PushOptions", "PushPlan", "PushStep", "plan_push", "push"]

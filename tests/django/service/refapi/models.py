from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """A user that logs in with an email."""

    username = None
    email = models.EmailField(unique=True)
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = []

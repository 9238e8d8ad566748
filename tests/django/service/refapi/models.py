from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """Logs in with an e-mail."""

    username = None
    email = models.EmailField(unique=True)
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = []

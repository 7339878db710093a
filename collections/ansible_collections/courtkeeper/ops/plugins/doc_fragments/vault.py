# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""What every module of backups is told of the vault."""

from __future__ import annotations


class ModuleDocFragment:
    """The option `vault`."""

    DOCUMENTATION = r"""
options:
  vault:
    description: The vault. What is left out has the library's default, which docs/vault.md names.
    type: dict
    required: true
    suboptions:
      name:
        description: Its name; the keys of all its objects begin with it.
        type: str
        required: true
      recipients:
        description: Public keys of age (C(age1…)). Each of them alone opens every backup.
        type: list
        elements: str
      recipients_file:
        description: File with more of them, one a line.
        type: str
      destinations:
        description: Where backups go, all of them at once.
        type: list
        elements: dict
        required: true
        suboptions:
          name:
            description: Its name, in findings.
            type: str
            required: true
          kind:
            description: What it is.
            type: str
            required: true
            choices: [directory, s3]
          path:
            description: The directory.
            type: str
          mounted:
            description: Whether the directory has to be a mount point.
            type: bool
          bucket:
            description: The bucket.
            type: str
          prefix:
            description: What the keys in the bucket begin with.
            type: str
          region:
            description: The bucket's region.
            type: str
          endpoint_url:
            description: Address of a store that is not Amazon's.
            type: str
          access_key:
            description: Key id; empty with a role of the machine.
            type: str
          secret_key:
            description: The key.
            type: str
          session_token:
            description: Token of a temporary key.
            type: str
          ca_file:
            description: Certificate of the store's CA.
            type: str
          path_style:
            description: Whether the bucket is named in the path instead of the host.
            type: bool
          insecure:
            description: Whether plain HTTP will do.
            type: bool
          part_mb:
            description: Size of one part of an upload, in MiB.
            type: int
          timeout_s:
            description: Seconds for which the store may be silent.
            type: float
          attempts:
            description: How often a request is tried.
            type: int
          storage_class:
            description: Storage class of the objects.
            type: str
          server_side_encryption:
            description: Encryption by the store, on top of ours.
            type: str
      sources:
        description: What is backed up.
        type: list
        elements: dict
        suboptions:
          name:
            description: Its name, a part of its objects' keys.
            type: str
            required: true
          kind:
            description: What it is.
            type: str
            required: true
            choices: [postgres, redis, files]
          host:
            description: Host name or address, or the directory of a Unix socket of Postgres.
            type: str
          port:
            description: Port.
            type: int
          socket:
            description: Unix socket of Redis.
            type: str
          user:
            description: Role or user that reads.
            type: str
          password:
            description: Its password.
            type: str
          database:
            description: The database to connect to first.
            type: str
          options:
            description: Further words of libpq.
            type: dict
          databases:
            description: The databases to dump; none means all.
            type: list
            elements: str
          bin_directory:
            description: Where pg_dump and pg_dumpall are; PATH where it is left out.
            type: str
          globals:
            description: Whether roles and tablespaces are dumped, too.
            type: bool
          checksums:
            description: Whether rows and a checksum of every table are taken in the dump's snapshot.
            type: bool
          heartbeat:
            description: Whether the time is written to the table courtkeeper.heartbeat before each dump.
            type: bool
          lock_timeout_s:
            description: Seconds that the dump waits for a lock.
            type: float
          tls:
            description: Whether Redis is spoken to over TLS.
            type: bool
          ca_file:
            description: Certificate of the CA of Redis.
            type: str
          timeout_s:
            description: Seconds for which Redis may be silent.
            type: float
          paths:
            description: Files and directories to pack.
            type: list
            elements: str
          volumes:
            description: Docker volumes to pack.
            type: list
            elements: str
          exclude:
            description: Shell patterns of absolute paths that stay out.
            type: list
            elements: str
          one_file_system:
            description: Whether what is mounted below a path stays out.
            type: bool
          growing:
            description: Whether files are expected to grow meanwhile, as logs do.
            type: bool
      identity_file:
        description: File with private keys of age. A backup needs none.
        type: str
      signing_key_file:
        description: File with the key that signs manifests.
        type: str
      signers:
        description: Public keys whose signatures count.
        type: list
        elements: str
      state_directory:
        description: Holds locks, and what is remembered between runs.
        type: str
      pace:
        description:
          - How hard a backup works, C({level, threads, rate_mb_s, patience_s, attempts, refill_minutes}).
        type: dict
      policy:
        description: Retention, verification and drills.
        type: dict
"""

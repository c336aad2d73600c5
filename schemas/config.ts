import * as z from 'zod';
import {deployersSchema} from './deploy-config.ts';
import {durationSchema} from './duration.ts';
import {gitHubSchema, webhooksSchema} from './forge-config.ts';
import {forgePath} from './forge-path.ts';
import type {Issue} from './issue.ts';
import {limitValues} from './limit-values.ts';
import {secretSourceSchema} from './secret-source.ts';
import {userNamePattern} from './user-name.ts';
import {parseYaml} from './yaml-file.ts';

const branchGlobs = z.array(z.string().min(1).max(255)).min(1).max(100);

/** Names that the container sets itself. */
const reservedNames = /^(?:HOODY_|BRANCHTAB_|BUN_|LD_)|^(?:HOME|USER|LOGNAME|SHELL)$/;

const variableName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,254}$/, 'a name has letters, digits and _ and begins with no digit')
  .refine((name) => !reservedNames.test(name), 'this name is set by Branchtab itself');

const longestLeaseMs = 3650 * 86_400_000;

const previewRun = z.enum(['all', 'changed', 'none']);

const limit = <T extends z.ZodType>(schema: T, description: string) =>
  z
    .union([schema, z.literal('none').transform(() => null)])
    .optional()
    .meta({description});

/** What is left out stays as other items of `environments`, or the defaults, say. */
const limitsSchema = z
  .strictObject({
    cpus: limit(limitValues.cpus, 'CPUs of all processes together; 0.5 for previews.'),
    memory: limit(limitValues.memory, 'Memory of all processes together; 512MB for previews.'),
    disk: limit(limitValues.disk, 'Data directory and workspace together; 1GB for previews.'),
    runs_per_day: limit(limitValues.runs_per_day, 'Runs started in one day of UTC; 5000 for previews.'),
    run_time: limit(limitValues.run_time, 'Of a run whose job does not ask for more; 10m for previews.'),
    longest_run_time: limit(
      limitValues.longest_run_time,
      'What a job may ask for with timeout=; 1h for previews.',
    ),
    overlap: limitValues.overlap.optional().meta({
      description:
        'Whether a run may begin while the one before goes on: `forbid` unless the job says otherwise (previews), `never` whatever it says.',
    }),
  })
  .meta({id: 'Limits'});

const userName = z
  .string()
  .regex(userNamePattern, 'a name has 1 to 32 letters, digits, _, . or - and does not begin with -');

const snapshotName = z
  .string()
  .regex(
    /^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}$/,
    'write at most 100 letters, digits, "_", "." and "-", no dot in front',
  );

const dataPolicy = z
  .string()
  .regex(/^(?:empty|copy|seed:.{1,1000})$/, 'write empty, copy or seed:<file of the branch>');

const idleSchema = z
  .strictObject({
    pause_after: durationSchema
      .optional()
      .meta({description: 'A preview is paused so long after its last push; 0 for never.'}),
    remove_after: durationSchema
      .optional()
      .meta({description: 'A preview goes to the trash so long after its last push; 0 for never.'}),
  })
  .refine(
    ({pause_after = 0, remove_after = 0}) =>
      pause_after === 0 || remove_after === 0 || remove_after > pause_after,
    {message: 'remove_after must be longer than pause_after', path: ['remove_after']},
  );

const environmentSchema = z
  .strictObject({
    branches: z
      .union([
        z
          .string()
          .min(1)
          .transform((glob) => [glob]),
        branchGlobs,
      ])
      .meta({
        description:
          '`live` for the live branch, `forks` for pull requests of forks, which no other item is for; else globs; `!` excludes.',
      }),
    variables: z
      .record(variableName, z.union([z.string(), z.number(), z.boolean()]).transform(String))
      .default({}),
    keep: z
      .boolean()
      .default(false)
      .meta({description: 'Long-lived branches, such as staging: they stay when they are merged.'}),
    run: previewRun
      .optional()
      .meta({description: 'What previews among these branches run; wins over previews.run.'}),
    idle: idleSchema
      .optional()
      .meta({description: 'What becomes of previews that nobody pushes; never of live and kept branches.'}),
    suspend: z
      .strictObject({
        until: z.iso
          .datetime({offset: true})
          .meta({description: 'RFC 3339; they resume then by themselves.'}),
        owner: z.string().min(1).max(100).meta({description: 'Who answers for it.'}),
        reason: z.string().min(1).max(500),
      })
      .optional()
      .meta({description: 'No job of these branches runs until then, whatever is pushed.'}),
    from: snapshotName.optional().meta({
      description:
        'Snapshot whose files new containers of these branches start with, as soon as there is one of that name.',
      example: 'main-snapshot',
    }),
    snapshot: snapshotName.optional().meta({
      description:
        'Name under which the container is copied after each commit that was applied; for one branch, such as live.',
      example: 'main-snapshot',
    }),
    drift: z
      .enum(['revert', 'report'])
      .optional()
      .meta({description: 'What becomes of changes by hand in these branches; wins over drift.'}),
    data: dataPolicy.optional().meta({
      description:
        'What the data directory of a new preview among these branches begins with: `empty`, `copy` of what live has, or `seed:<file of the branch>`, which fills it.',
    }),
    limits: limitsSchema.optional().meta({description: 'What these branches may use; `none` for no bound.'}),
    secrets: z
      .record(variableName, secretSourceSchema)
      .default({})
      .meta({description: 'Variables whose values stand elsewhere and are masked in output.'}),
  })
  .meta({id: 'Environment', description: 'What the branches get; later items win.'});

const environments = z.array(environmentSchema).max(1000).default([]);

/** Levels are written out: finding directories at any depth would mean to read the whole tree of every branch. */
function isDirectoryGlob(text: string): boolean {
  const segments = text.replace(/^!/, '').split('/');
  return text === '.' || segments.every((name) => !/^\.{0,2}$|\*\*/.test(name));
}

const directoryGlobs = z
  .array(
    z
      .string()
      .max(255)
      .refine(
        isDirectoryGlob,
        'write directories from the top of the repository, such as services/* or apps/web',
      ),
  )
  .min(1)
  .max(100)
  .refine(
    (globs) => globs.some((glob) => !glob.startsWith('!')),
    'write at least one glob that does not exclude',
  );

const credentialsSchema = z
  .union([
    z.strictObject({
      token: secretSourceSchema.meta({description: 'Password or access token, for https.'}),
      user: z.string().min(1).max(255).default('token').meta({
        description: 'User name beside the token; most hosts take any.',
      }),
    }),
    z.strictObject({
      ssh_key: z.string().min(1).meta({description: 'File of a private key without a passphrase, for ssh.'}),
      known_hosts: z
        .string()
        .min(1)
        .optional()
        .meta({description: 'File with the keys of the host; those of the user unless given.'}),
    }),
    z.strictObject({
      helper: z
        .string()
        .min(1)
        .meta({description: 'Credential helper of git, as in credential.helper, for https.'}),
    }),
  ])
  .meta({id: 'Credentials', description: 'How a remote repository lets the controller in.'});

const repositorySchema = z
  .strictObject({
    repository: z.string().min(1).meta({description: 'Path of a local repository or URL of a remote one.'}),
    live: z
      .string()
      .min(1)
      .optional()
      .meta({description: 'The live branch; the default branch unless given.'}),
    credentials: credentialsSchema.optional(),
    paths: directoryGlobs.optional().meta({
      description:
        'For monorepos: globs of directories with a .hoody of their own, each of which has a container; `!` excludes.',
    }),
    branches: branchGlobs.optional().meta({description: 'Globs of the branches to serve; `!` excludes.'}),
    environments: environments.meta({description: 'For this repository alone; they win over the others.'}),
    drift: z
      .enum(['revert', 'report'])
      .optional()
      .meta({description: 'For its branches; environments win over it.'}),
    drift_interval: durationSchema.optional(),
    undo_window: durationSchema.optional(),
    poll_interval: durationSchema.optional().meta({description: 'Of a local repository.'}),
    fetch_interval: durationSchema.optional().meta({description: 'Of a remote repository.'}),
    forge_url: z
      .string()
      .refine(
        (address) => forgePath(address) !== null,
        'write an address such as https://github.com/acme/shop',
      )
      .optional()
      .meta({
        description: 'Address under which its forge has the repository, where it is read from another place.',
      }),
  })
  .meta({id: 'Repository'});

/** What an Incus server calls its projects, pools and profiles. */
const serverWord = z
  .string()
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$/, 'write a name of letters, digits, _, . and -');

/** `branchtab.yaml`: the operator's file, trusted, on the host. Flags win over it. */
export const configSchema = z
  .strictObject({
    repositories: z
      .array(
        z.union([
          z
            .string()
            .min(1)
            .transform((repository): z.infer<typeof repositorySchema> => ({repository, environments: []})),
          repositorySchema,
        ]),
      )
      .max(1000)
      .default([]),
    branches: branchGlobs.default(['**']).meta({description: 'For repositories without globs of their own.'}),
    environments: environments.meta({description: 'For all repositories.'}),
    listen: z.string().default('127.0.0.1:7070').meta({description: 'host:port of the API.'}),
    snapshots: z
      .strictObject({
        keep: z.int().min(1).max(10_000).optional().meta({
          description:
            'Snapshots of each container that stay when another is made, the newest ones; all unless given.',
        }),
      })
      .prefault({})
      .meta({description: 'Snapshots that people make.'}),
    tls: z
      .strictObject({
        listen: z
          .string()
          .default('0.0.0.0:7443')
          .meta({description: 'host:port at which the API and the kits answer over HTTPS too.'}),
        certificate: z.string().min(1).meta({
          description: 'Path of a PEM file with the certificate and its chain; read again when it changes.',
        }),
        key: z.string().min(1).meta({description: 'Path of a PEM file with its private key.'}),
      })
      .optional()
      .meta({description: 'HTTPS beside `listen`, which stays plain HTTP.'}),
    public_url: z
      .url()
      .optional()
      .meta({description: 'Address under which others reach the API, where a proxy stands before it.'}),
    domain: z
      .string()
      .max(200)
      .regex(
        /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/,
        'write a host name in lower case',
      )
      .optional()
      .meta({
        description:
          'Kits of containers answer at <id>-<kit>-1.<domain> too, beside <id>-<kit>-1.localhost. Its names must lead to this controller; inside a container <kit>.<domain> is its own.',
      }),
    aliases: z
      .record(
        z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,59}[a-z0-9])?$/, 'write at most 61 of a-z, 0-9 and "-"'),
        z.strictObject({
          container: z.string().min(1).max(1024).meta({
            description: 'Branch, or id or name of a container.',
            example: 'main',
          }),
          kit: z.enum(['cron', 'exec', 'pipe', 'notifications']).optional().meta({
            description:
              'What <alias>.<domain> is; without it the alias stands for the id of the container only.',
          }),
          public: z.boolean().default(false).meta({
            description: 'Let everybody in who knows the name; the token is needed otherwise.',
          }),
        }),
      )
      .default({})
      .meta({
        description:
          'Names of containers in host names: <alias>-<kit>-1.<domain>, and <alias>.<domain> with a kit.',
      }),
    state: z.string().optional().meta({description: 'State directory.'}),
    provider: z.enum(['process', 'docker', 'incus']).default('process').meta({
      description:
        'What runs containers: this host itself, a container engine on it (Docker Engine or Podman), or an Incus or LXD server.',
    }),
    docker: z
      .strictObject({
        host: z
          .string()
          .regex(
            /^unix:\/\/\/\S+$/,
            'write unix:///path/to/the/socket; an engine elsewhere cannot mount the files of this host',
          )
          .optional()
          .meta({
            description:
              "Socket of the engine. Without it that of DOCKER_HOST, else Docker's or Podman's usual one.",
            examples: ['unix:///run/podman/podman.sock'],
          }),
        image: z
          .string()
          .min(1)
          .max(500)
          .regex(/^[A-Za-z0-9][^\s]*$/, 'write the name of an image')
          .default('docker.io/library/buildpack-deps:bookworm-curl')
          .meta({description: 'What containers are made from. Any with glibc; jobs find its programs.'}),
        network: z
          .string()
          .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,100}$/, 'write own, none or the name of a network')
          .refine(
            (name) => name !== 'host' && name !== 'default',
            'a container needs a network of its own: write own, none or the name of a network',
          )
          .default('own')
          .meta({
            description:
              '`own`: one that only these containers have. `none`: nothing but themselves. Else the name of one of the engine.',
          }),
      })
      .prefault({})
      .meta({description: 'Of the provider docker.'}),
    incus: z
      .strictObject({
        socket: z
          .string()
          .regex(/^\/\S+$/, 'write the path of a socket')
          .optional()
          .meta({
            description:
              'Socket of the server on this host. Without it that of INCUS_SOCKET, or the usual one of Incus or LXD.',
            examples: ['/var/lib/incus/unix.socket'],
          }),
        url: z
          .string()
          .regex(
            /^https:\/\/(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?$/,
            'write https://host:8443, without a path',
          )
          .optional()
          .meta({
            description: 'Address of a server on another machine, in place of a socket.',
            examples: ['https://incus.example.org:8443'],
          }),
        client_certificate: z.string().min(1).optional().meta({
          description: 'Path of a PEM file with the certificate that the server at `url` trusts.',
        }),
        client_key: z
          .string()
          .min(1)
          .optional()
          .meta({description: 'Path of a PEM file with its private key, that nobody else may read.'}),
        server_certificate: z.string().min(1).optional().meta({
          description:
            "Path of a PEM file with the certificate of the server at `url`, or of whoever signed it; those of this host's authorities unless given.",
        }),
        project: serverWord
          .optional()
          .meta({description: 'Project of the server; its default unless given.'}),
        pool: serverWord.default('default').meta({
          description: 'Storage pool of the containers. On btrfs or zfs a clone is a copy on write.',
        }),
        target: z
          .string()
          .regex(/^@?[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$/, 'write the name of a member, or @ and a group')
          .optional()
          .meta({
            description:
              'Member of a cluster, or `@` and a group of members, that new containers go to; the server chooses unless given.',
          }),
        profiles: z
          .array(serverWord)
          .max(20)
          .default([])
          .meta({description: 'Profiles that every container has, in their order.'}),
        image: z
          .string()
          .max(200)
          .regex(/^[A-Za-z0-9][^\s:]*$/, 'write the alias of an image that the server has')
          .default('debian/12')
          .meta({description: 'Alias of what containers are made from. Any with glibc and a shell.'}),
        network: serverWord.default('own').meta({
          description:
            '`own`: a bridge that only these containers have. `none`: nothing but themselves. Else the name of one of the server that gives out IPv4 addresses.',
        }),
      })
      .superRefine((incus, context) => {
        const wrong = (path: string, message: string) =>
          context.addIssue({code: 'custom', path: [path], message});
        const ours = ['client_certificate', 'client_key'] as const;
        if (incus.url !== undefined && incus.socket !== undefined)
          wrong('socket', 'a server has a socket or a url, not both');
        for (const name of [...ours, 'server_certificate'] as const)
          if (incus.url === undefined && incus[name] !== undefined) wrong(name, 'it needs `url`');
        for (const name of ours)
          if (incus.url !== undefined && incus[name] === undefined)
            wrong(name, 'a server at a url knows us by a certificate and its key');
      })
      .prefault({})
      .meta({description: 'Of the provider incus.'}),
    level: z.enum(['auto', 'network', 'sandbox', 'plain']).default('auto').meta({
      description:
        'How containers of the process provider are kept apart; auto takes the best this host can.',
    }),
    trust_branches: z.boolean().default(false).meta({
      description:
        'Run branches of remote repositories without a sandbox. Whoever can push can then do all that this user can.',
    }),
    timezone: z.string().default('UTC').meta({description: 'IANA zone of the schedules.'}),
    poll_interval: durationSchema
      .default(5000)
      .meta({description: 'Safety net beside file events of local repositories.'}),
    fetch_interval: durationSchema
      .default(60_000)
      .meta({description: 'Between two fetches of a remote repository.'}),
    mail: z
      .strictObject({smtp_url: secretSourceSchema})
      .optional()
      .meta({description: 'Where jobs with MAILTO have their output mailed.'}),
    previews: z
      .strictObject({
        run: previewRun.default('all').meta({
          description:
            '`all`: what the crontab says. `changed`: not the lines that live has too. `none`: nothing until it is released.',
        }),
        lease: durationSchema
          .refine((ms) => ms === 0 || (ms >= 1000 && ms <= longestLeaseMs), 'write 0, or 1s to 3650d')
          .default(72 * 3_600_000)
          .meta({
            description:
              'How long jobs of a preview go on when no controller watches over it; 0 for any time. Live and kept branches need none.',
          }),
      })
      .prefault({}),
    limits: z
      .strictObject({
        previews_per_repository: z
          .int()
          .min(0)
          .max(100_000)
          .default(100)
          .meta({description: 'Containers of previews of one repository, without those in the trash.'}),
        min_free_disk_percent: z.number().min(0).max(100).default(10).meta({
          description: 'With less of the disk of the state directory free, no preview gets a new container.',
        }),
        min_free_memory_percent: z
          .number()
          .min(0)
          .max(100)
          .default(10)
          .meta({description: 'The same for memory.'}),
      })
      .prefault({})
      .meta({description: 'For previews; the live branch is never refused.'}),
    max_entries: z
      .int()
      .min(0)
      .max(10_000)
      .default(10_000)
      .meta({description: 'Jobs that one crontab may hold, managed entries among them.'}),
    users: z
      .array(
        z.union([
          userName.transform((name) => ({name, account: null})),
          z.strictObject({
            name: userName,
            account: userName.nullable().default(null).meta({
              description: 'System user as whom the jobs run; the one of that name unless given.',
            }),
          }),
        ]),
      )
      .max(1000)
      .default([])
      .refine((users) => new Set(users.map(({name}) => name)).size === users.length, 'a name stands twice')
      .refine(
        (users) => users.every(({name}) => name !== 'root' && name !== 'me'),
        'root and me are no names of people',
      )
      .meta({description: 'People with crontabs of their own, beside root.'}),
    backups: z
      .strictObject({
        directory: z.string().min(1).optional().meta({
          description: 'Where backups go; `backups` in the state directory unless given.',
        }),
        keep: z.int().min(1).max(1000).default(7).meta({description: 'Backups of each branch that stay.'}),
        interval: durationSchema
          .default(86_400_000)
          .meta({description: 'Between two backups of the live branch.'}),
      })
      .prefault({})
      .meta({description: 'Copies of the data directory of the live branch.'}),
    owner_ref: z.boolean().default(false).meta({
      description:
        'Claim repositories by their ref refs/branchtab/owner too, so that controllers on several machines do not run the same one.',
    }),
    webhooks: webhooksSchema,
    deployers: deployersSchema,
    github: gitHubSchema.optional(),
    drift: z.enum(['revert', 'report']).default('revert'),
    drift_interval: durationSchema.default(60_000),
    undo_window: durationSchema
      .default(86_400_000)
      .meta({description: 'How long a removed branch stays in the trash; 0 removes at once.'}),
    stop_grace: durationSchema
      .default(30_000)
      .meta({description: 'How long running jobs may go on when their container stops.'}),
    concurrency: z
      .int()
      .min(1)
      .max(256)
      .default(8)
      .meta({description: 'Branches reconciled at the same time.'}),
  })
  .meta({id: 'Config', title: 'branchtab.yaml'});

export type Config = z.infer<typeof configSchema>;
export type LimitsConfig = z.infer<typeof limitsSchema>;
export type CredentialsConfig = z.infer<typeof credentialsSchema>;
export type EnvironmentConfig = z.infer<typeof environmentSchema>;
export type RepositoryConfig = z.infer<typeof repositorySchema>;

/** Parses the text of `branchtab.yaml`. Issues carry line and column; unknown keys are issues. */
export function parseConfig(
  text: string,
  file: string,
): {config: Config; issues: []} | {config: null; issues: Issue[]} {
  const {value, issues} = parseYaml(text, file, configSchema);
  return value === null ? {config: null, issues} : {config: value, issues: []};
}

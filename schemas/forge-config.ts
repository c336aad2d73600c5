import * as z from 'zod';
import {durationSchema} from './duration.ts';
import {secretSourceSchema} from './secret-source.ts';

const secrets = z.array(secretSourceSchema).min(1).max(10).meta({
  description: 'Each of them opens the hook, so that an old one and a new one may be in use at once.',
});

const hook = z.strictObject({secrets}).optional();

/** `webhooks` of `branchtab.yaml`. */
export const webhooksSchema = z
  .strictObject({
    github: hook,
    gitlab: hook,
    gitea: hook,
    generic: hook,
  })
  .prefault({})
  .meta({description: 'Secrets of POST /hooks/<forge>; a hook without one is closed.'});
export type WebhooksConfig = z.infer<typeof webhooksSchema>;

/** `github` of `branchtab.yaml`. */
export const gitHubSchema = z
  .strictObject({
    host: z
      .string()
      .regex(/^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/, 'write a host name in lower case')
      .default('github.com')
      .meta({description: 'Host of the repositories; another one for GitHub Enterprise.'}),
    api_url: z
      .url({protocol: /^https?$/})
      .optional()
      .meta({description: 'https://api.github.com, or https://<host>/api/v3, unless given.'}),
    token: secretSourceSchema.optional().meta({description: 'Of a person or a machine user.'}),
    app: z
      .strictObject({
        id: z.int().min(1),
        private_key: secretSourceSchema.meta({description: 'PEM.'}),
        installation: z
          .int()
          .min(1)
          .optional()
          .meta({description: 'Id of the installation; looked up for each repository unless given.'}),
      })
      .optional()
      .meta({description: 'A GitHub App in the place of a token.'}),
    poll_interval: durationSchema
      .refine((ms) => ms >= 1000, 'write at least 1s')
      .default(120_000)
      .meta({description: 'Between two looks at pull requests, beside webhooks.'}),
    write_interval: durationSchema.default(1000).meta({
      description:
        'Between two writes, three times as much between two comments. GitHub asks for a second; an Enterprise server may take more.',
    }),
    forks: z
      .strictObject({
        serve: z.enum(['none', 'labelled', 'all']).default('none').meta({
          description:
            '`labelled`: the commit at which somebody who may do so put the label on it; needs the webhook. `all`: the newest commit of every open one, whoever opened it.',
        }),
        label: z.string().min(1).max(50).default('preview'),
        most: z.int().min(1).max(1000).default(10).meta({description: 'So many at once.'}),
      })
      .prefault({})
      .meta({description: 'Pull requests of forks. They never get secrets or variables of branches.'}),
    reports: z
      .strictObject({
        name: z
          .string()
          .regex(/^[A-Za-z0-9][A-Za-z0-9 ._/-]{0,49}$/, 'write up to 50 letters, digits, spaces and . _ / -')
          .default('branchtab')
          .meta({
            description:
              'Of checks and statuses; another one for each controller that reports on a repository.',
          }),
        checks: z.boolean().default(true).meta({
          description: 'A check run (App) or commit status (token) on the newest commit of every branch.',
        }),
        deployments: z
          .boolean()
          .default(true)
          .meta({description: 'A deployment for every branch that runs.'}),
        comments: z.boolean().default(true).meta({
          description: 'A comment on every pull request that changes the schedule, kept up to date.',
        }),
      })
      .prefault({})
      .meta({description: 'What is written to GitHub.'}),
  })
  .refine(({token, app}) => (token === undefined) !== (app === undefined), {
    message: 'name either token or app',
    path: ['token'],
  })
  .meta({
    description: 'How GitHub is asked about pull requests and told about branches; without it, neither.',
  });
export type GitHubConfig = z.infer<typeof gitHubSchema>;

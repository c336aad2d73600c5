import * as z from 'zod';
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

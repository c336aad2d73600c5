import definitions from '@octokit/webhooks-examples';
import test from 'ava';
import fc from 'fast-check';
import {errorCatalogue} from '../../schemas/errors.ts';
import {fuzz} from '../helpers/fuzz.ts';
import {createWebhookWorld, gitHubHeaders, hookSecret, signature} from '../helpers/webhook-world.ts';

const examples = definitions.flatMap(({name, examples}) =>
  ['push', 'create', 'delete', 'pull_request', 'installation'].includes(name)
    ? examples.map((example: unknown) => ({event: name as string, text: JSON.stringify(example)}))
    : [],
);
const hostile = fc.oneof(
  fc.constantFrom(
    null,
    true,
    -1,
    1e308,
    '',
    'x'.repeat(3000),
    '__proto__',
    '../..',
    '\0',
    [],
    {},
    'refs/heads/',
  ),
  fc.string({unit: 'binary', maxLength: 20}),
);

/** A real body in which one value is another one, or which is cut off. */
const body = fc
  .tuple(fc.constantFrom(...examples), fc.nat(), hostile, fc.boolean())
  .map(([{event, text}, at, value, isCut]) => {
    if (isCut) return {event, text: text.slice(0, at % text.length)};
    let left = at % 60;
    const changed = JSON.stringify(JSON.parse(text), (_key, own: unknown) => {
      left -= 1;
      return left === 0 ? value : own;
    });
    return {event, text: changed ?? ''};
  });

test('every body is answered; what is accepted names a branch and a repository', async (t) => {
  const {post, deliveries} = await createWebhookWorld(t, {
    secrets: {github: [hookSecret], gitlab: [hookSecret], gitea: [hookSecret], generic: [hookSecret]},
  });
  await fuzz(
    t,
    fc.asyncProperty(
      body,
      fc.constantFrom('github', 'gitea', 'gitlab', 'generic'),
      fc.constantFrom('', 'Push Hook', 'Merge Request Hook'),
      async ({event, text}, forge, gitLabEvent) => {
        const response = await post(`/hooks/${forge}`, text, {
          ...gitHubHeaders(event, text),
          'X-Gitea-Event': event,
          'X-Gitea-Signature': signature(text).slice('sha256='.length),
          'X-Gitlab-Event': gitLabEvent || event,
          'X-Gitlab-Token': hookSecret,
          'X-Branchtab-Signature': signature(text),
        });
        const answer = (await response.json()) as Record<string, unknown>;
        const expected =
          response.status === 202
            ? typeof answer.repository === 'string' || answer.outcome === 'ignored'
            : response.status < 500 && String(answer.code) in errorCatalogue;
        if (!expected) throw new Error(`${response.status} ${JSON.stringify(answer)}`);
      },
    ),
    {runs: 1000},
  );
  await deliveries.settled();
});

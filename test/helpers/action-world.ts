import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import definitions from '@octokit/webhooks-examples';
import {checkout} from './command-world.ts';
import type {Teardown} from './git-world.ts';

export const bundle = join(checkout, '.github/actions/deploy/dist/index.mjs');

export interface StepRun {
  readonly code: number | null;
  readonly log: string;
  readonly outputs: Readonly<Record<string, string>>;
  readonly summary: string;
}

export interface Step {
  readonly event: string;
  readonly payload: object;
  readonly ref?: string;
  readonly sha?: string;
  readonly inputs?: Readonly<Record<string, string>>;
  readonly environment?: Readonly<Record<string, string>>;
  /** Where the checkout is. */
  readonly workspace?: string;
}

/** Runs the bundle of the Action as GitHub's runner does: by node, with inputs, event and files in the environment. */
export async function createActionWorld(t: Teardown) {
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-action-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  let runs = 0;
  return {
    directory,
    async run({
      event,
      payload,
      ref = 'refs/heads/main',
      sha = '0'.repeat(40),
      inputs = {},
      environment = {},
      workspace = directory,
    }: Step): Promise<StepRun> {
      runs += 1;
      const file = (name: string) => join(directory, `${name}-${runs}`);
      await writeFile(file('event'), JSON.stringify(payload));
      await writeFile(file('output'), '');
      await writeFile(file('summary'), '');
      const child = spawn('node', [bundle], {
        cwd: workspace,
        env: {
          PATH: process.env.PATH ?? '',
          HOME: directory,
          GITHUB_ACTIONS: 'true',
          GITHUB_WORKSPACE: workspace,
          GITHUB_SERVER_URL: 'https://github.com',
          GITHUB_REPOSITORY: 'acme/shop',
          GITHUB_EVENT_NAME: event,
          GITHUB_EVENT_PATH: file('event'),
          GITHUB_REF: ref,
          GITHUB_SHA: sha,
          GITHUB_OUTPUT: file('output'),
          GITHUB_STEP_SUMMARY: file('summary'),
          ...Object.fromEntries(
            Object.entries(inputs).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value]),
          ),
          ...environment,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let log = '';
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (chunk) => {
          log += String(chunk);
        });
      const [code] = (await once(child, 'close')) as [number | null];
      return {
        code,
        log,
        outputs: parseOutputs(await readFile(file('output'), 'utf8')),
        summary: await readFile(file('summary'), 'utf8'),
      };
    },
  };
}

/** `name<<end`, lines, `end`: as GitHub's runner reads them. */
function parseOutputs(text: string): Record<string, string> {
  const found: Record<string, string> = {};
  const lines = text.split('\n');
  for (let at = 0; at < lines.length; at += 1) {
    const [, name = '', end = ''] = /^(.+)<<(.+)$/.exec(lines[at] ?? '') ?? [];
    if (name === '') continue;
    const last = lines.indexOf(end, at + 1);
    found[name] = lines.slice(at + 1, last).join('\n');
    at = last;
  }
  return found;
}

/** GitHub's own example of an event, with other values in places. */
export function payloadOf(event: string, changes: object, action?: string): object {
  const examples: readonly unknown[] = definitions.find(({name}) => name === event)?.examples ?? [];
  const example = (examples as {action?: string}[]).find(
    (one) => action === undefined || one.action === action,
  );
  if (example === undefined) throw new Error(`no example of ${event}`);
  return {...example, ...changes};
}

/** A pull request of GitHub's example, between two branches of the repository unless it is of a fork. */
export function pullRequestPayload(
  action: string,
  {head, base, isFork = false}: {head: [string, string]; base: [string, string]; isFork?: boolean},
): object {
  const example = payloadOf('pull_request', {}, action) as {
    pull_request: {head: {repo: object}; base: {repo: {id: number}}};
  };
  const {repo} = example.pull_request.base;
  return {
    ...example,
    pull_request: {
      ...example.pull_request,
      head: {
        ...example.pull_request.head,
        ref: head[0],
        sha: head[1],
        repo: {...repo, id: repo.id + (isFork ? 1 : 0)},
      },
      base: {...example.pull_request.base, ref: base[0], sha: base[1]},
    },
  };
}

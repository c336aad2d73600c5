import {createHmac} from 'node:crypto';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {createControllerWorld, type RunningController} from '../test/helpers/controller-world.ts';
import {serveOverHttp} from '../test/helpers/git-http.ts';
import {createPushWorld, importBranches, type PushWorld} from '../test/helpers/git-world.ts';
import {type Bench, histogram, histogramLine, percentile} from './result.ts';
import {untilActive, untilShown} from './until.ts';

const branches = 100;
const rounds = 2;
const burst = 1000;
/** As many requests at once: more than GitHub has open to one address. */
const atOnce = 32;
const secret = 'secret of the bench';
const forgeUrl = 'https://github.com/acme/shop';

export const webhookBench: Bench = {
  name: 'webhook',
  summary:
    'a signed webhook until the crontab is active, of 100 branches of a remote; 1,000 webhooks in a burst',
  async run({progress, teardown}) {
    const push = await createPushWorld({teardown});
    const names = Array.from({length: branches}, (_, index) => `branch-${index}`);
    progress(`making ${branches} branches`);
    await importBranches(push.clone, names, (branch) => ({
      'README.md': `${branch}\n`,
      '.hoody/crontab': crontabOf(branch, 0),
    }));
    await push.clone.git('push', '--quiet', 'origin', 'refs/heads/*:refs/heads/*');
    let gitCommands = 0;
    const repository = await serveOverHttp({teardown}, push.origin, {
      async onRequest({url = ''}) {
        if (url.includes('/info/refs')) gitCommands += 1;
      },
    });
    const secretFile = join(push.origin.directory, 'hook-secret');
    await writeFile(secretFile, secret);
    const config = join(push.origin.directory, 'branchtab.yaml');
    await writeFile(
      config,
      JSON.stringify({
        repositories: [{repository, forge_url: forgeUrl, live: 'branch-0'}],
        fetch_interval: '1d',
        trust_branches: true,
        webhooks: {github: {secrets: [{from_file: secretFile}]}},
      }),
    );
    const world = await createControllerWorld({teardown});
    const controller = await world.up('--config', config, '--yes');
    progress(`starting ${branches} containers`);
    await untilActive(controller, branches);

    const urls = new Map(
      (await controller.client.branches()).map(({branch, container}) => [
        branch,
        `${container?.urls.cron}/users/root/crontab`,
      ]),
    );
    const times: number[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      progress(`a push and its webhook, ${branches} branches, round ${round}`);
      for (const branch of names) times.push(await pushAndTell({push, controller, branch, round, urls}));
    }

    progress(`${burst} webhooks at once`);
    const commits = new Map<string, string>();
    for (const branch of names)
      commits.set(branch, await push.clone.commit(branch, {'.hoody/crontab': crontabOf(branch, rounds + 1)}));
    await push.clone.git('push', '--quiet', 'origin', ...names.map((branch) => `refs/heads/${branch}`));
    const before = gitCommands;
    const waiting = Array.from({length: burst}, (_, index) => names[index % branches] ?? '');
    const answers: number[] = [];
    const burstStartMs = performance.now();
    await Promise.all(
      Array.from({length: atOnce}, async () => {
        for (let branch = waiting.pop(); branch !== undefined; branch = waiting.pop()) {
          const startMs = performance.now();
          await tell(controller, branch, commits.get(branch) ?? '');
          answers.push(performance.now() - startMs);
        }
      }),
    );
    const burstMs = performance.now() - burstStartMs;
    for (const branch of names)
      await controller.until(branch, (known) => known.observed_revision === commits.get(branch));
    const [p50, p99] = [percentile(times, 0.5), percentile(times, 0.99)];
    const [answerP50, answerP99] = [percentile(answers, 0.5), percentile(answers, 0.99)];
    return {
      name: 'webhook',
      figures: [
        {label: 'webhook sent until the crontab is active: p50', value: p50, unit: 'ms', limit: 300},
        {label: 'webhook sent until the crontab is active: p99', value: p99, unit: 'ms', limit: 1000},
        {label: '1,000 webhooks, 32 at once: answered, p50', value: answerP50, unit: 'ms'},
        {label: '1,000 webhooks, 32 at once: answered, p99', value: answerP99, unit: 'ms', limit: 50},
        {
          label: '1,000 webhooks about 100 branches: git at the remote',
          value: gitCommands - before,
          unit: 'processes',
          limit: 3,
        },
        {label: '1,000 webhooks: all answered after', value: burstMs, unit: 'ms'},
      ],
      values: {
        p50_ms: p50,
        p99_ms: p99,
        pushes: times.length,
        histogram: histogram(times),
        answer_p50_ms: answerP50,
        answer_p99_ms: answerP99,
        burst_ms: burstMs,
        git_commands: gitCommands - before,
      },
      notes: [
        `${times.length} pushes to a remote on loopback, each followed by its webhook: ${histogramLine(times)}`,
        `answers to the burst: ${histogramLine(answers)}`,
        'One fetch is three git commands at the remote: a list of the branches, the commits, the files that are needed.',
      ],
    };
  },
};

function crontabOf(branch: string, round: number): string {
  return `# ${branch}\n0 3 1 1 * echo ${round}\n`;
}

async function pushAndTell({
  push,
  controller,
  branch,
  round,
  urls,
}: {
  push: PushWorld;
  controller: RunningController;
  branch: string;
  round: number;
  urls: ReadonlyMap<string, string>;
}): Promise<number> {
  const text = crontabOf(branch, round);
  const commit = await push.push(branch, {'.hoody/crontab': text});
  const startMs = performance.timeOrigin + performance.now();
  const shown = untilShown(urls.get(branch) ?? '', text, startMs);
  await tell(controller, branch, commit);
  const durationMs = (await shown) - startMs;
  // What follows is not measured: it waits for the end of the work, so that pushes do not overlap.
  await controller.until(branch, (known) => known.observed_revision === commit && known.plan.length === 0);
  return durationMs;
}

async function tell({url}: RunningController, branch: string, commit: string): Promise<void> {
  const body = JSON.stringify({
    ref: `refs/heads/${branch}`,
    after: commit,
    repository: {html_url: forgeUrl},
  });
  const answer = await fetch(`${url}/hooks/github`, {
    method: 'POST',
    body,
    headers: {
      'Content-Type': 'application/json',
      'X-GitHub-Event': 'push',
      'X-GitHub-Delivery': crypto.randomUUID(),
      'X-Hub-Signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
    },
  });
  await answer.arrayBuffer();
  if (answer.status !== 202) throw new Error(`the webhook was answered with ${answer.status}`);
}

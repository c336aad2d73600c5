import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {createControllerWorld, isTrue} from '../test/helpers/controller-world.ts';
import {serveOverHttp} from '../test/helpers/git-http.ts';
import {createPushWorld} from '../test/helpers/git-world.ts';
import {gitHubHeaders} from '../test/helpers/webhook-world.ts';
import {untilShown} from './push.ts';
import {type Bench, histogram, histogramLine, percentile} from './result.ts';

const rounds = 100;
const longestMs = 60_000;
const repository = {html_url: 'https://github.com/acme/shop'};

export const webhookBench: Bench = {
  name: 'webhook',
  summary:
    "a push to a remote repository, served by git's own HTTP server and told by a webhook, until it is active",
  async run({progress, teardown}) {
    const push = await createPushWorld({teardown});
    await push.push('main', {'.hoody/crontab': crontabOf(0)});
    const world = await createControllerWorld({teardown});
    const secret = join(push.origin.directory, 'hook-secret');
    const config = join(push.origin.directory, 'branchtab.yaml');
    await writeFile(secret, 'secret of the bench\n');
    await writeFile(
      config,
      JSON.stringify({
        repositories: [
          {repository: await serveOverHttp({teardown}, push.origin), forge_url: repository.html_url},
        ],
        fetch_interval: '7d',
        trust_branches: true,
        webhooks: {github: {secrets: [{from_file: secret}]}},
      }),
    );
    const controller = await world.up('--config', config, '--yes');
    const main = await controller.until('main', (branch) => isTrue(branch, 'Ready'));
    const url = `${main.container?.urls.cron}/users/root/crontab`;
    progress(`pushing ${rounds} times`);
    const times: number[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      const text = crontabOf(round);
      const commit = await push.push('main', {'.hoody/crontab': text});
      const body = JSON.stringify({ref: 'refs/heads/main', after: commit, repository});
      const headers = gitHubHeaders('push', body, {secret: 'secret of the bench'});
      const pushedMs = performance.timeOrigin + performance.now();
      await fetch(`${controller.url}/hooks/github`, {method: 'POST', body, headers});
      times.push(Math.max(0, (await untilShown(url, text, pushedMs + longestMs)) - pushedMs));
      await controller.until('main', ({observed_revision}) => observed_revision === commit);
    }
    const p50 = percentile(times, 0.5);
    const p99 = percentile(times, 0.99);
    return {
      name: 'webhook',
      figures: [
        {label: 'remote, fetched on webhook: p50', value: p50, unit: 'ms', limit: 300},
        {label: 'remote, fetched on webhook: p99', value: p99, unit: 'ms'},
      ],
      values: {p50_ms: p50, p99_ms: p99, pushes: times.length, histogram: histogram(times)},
      notes: [`remote, fetched on webhook, ${times.length} pushes: ${histogramLine(times)}`],
    };
  },
};

function crontabOf(round: number): string {
  return `0 3 1 1 * echo ${round}\n`;
}

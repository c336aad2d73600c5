import {join} from 'node:path';
import {createControllerWorld, isTrue} from '../test/helpers/controller-world.ts';
import {createGitWorld, importBranches} from '../test/helpers/git-world.ts';
import {residentBytesOf} from '../test/helpers/host-facts.ts';
import {type Bench, histogram, histogramLine, percentile} from './result.ts';
import {writeRecords} from './resync.ts';
import {untilShown} from './until.ts';

const branches = 10_000;
const rounds = 40;

export const changedBench: Bench = {
  name: 'changed',
  summary: 'a commit on one branch among 10,000 that are known, until its container shows it',
  async run({progress, teardown}) {
    const origin = await createGitWorld({teardown}, {bare: true});
    progress(`making ${branches} branches`);
    const names = Array.from({length: branches}, (_, index) => `team-${index % 100}/branch-${index}`);
    await importBranches(origin, names, (branch) => ({'.hoody/crontab': `0 3 * * * echo ${branch}\n`}));
    const world = await createControllerWorld({teardown});
    await writeRecords(origin, join(world.stateDirectory, 'branches'), {waiting: true});
    await origin.commit('main', {'.hoody/crontab': crontabOf(0)});
    await origin.git('branch', 'changed', 'main');
    await origin.commit('changed', {'.hoody/crontab': crontabOf(0)});
    const controller = await world.up('--repo', origin.path, '--yes');
    const known = (await controller.client.branches()).length;
    if (known !== branches + 2) throw new Error(`${known} branches are known, not ${branches + 2}`);

    const pushed = async (name: string): Promise<number[]> => {
      progress(`pushing ${name} ${rounds} times`);
      const branch = await controller.until(name, (each) => isTrue(each, 'Ready'));
      const url = `${branch.container?.urls.cron}/users/root/crontab`;
      const times: number[] = [];
      for (let round = 1; round <= rounds; round += 1) {
        const text = crontabOf(round);
        // Not by `git push`, which itself takes seconds to compare 10,000 branches.
        const commit = await origin.commit(name, {'.hoody/crontab': text});
        const pushedMs = performance.timeOrigin + performance.now();
        times.push(Math.max(0, (await untilShown(url, text, pushedMs)) - pushedMs));
        // Not by events: each would ask for all branches, which is not what is measured.
        while ((await controller.client.branch(name)).observed_revision !== commit) await Bun.sleep(20);
      }
      return times;
    };
    const times = await pushed('changed');
    const live = await pushed('main');
    const memory = (await residentBytesOf(controller.pid)) / 1024 / 1024;
    const p50 = percentile(times, 0.5);
    const p99 = percentile(times, 0.99);
    return {
      name: 'changed',
      figures: [
        {label: 'one changed among 10,000: p50', value: p50, unit: 'ms', limit: 300},
        {label: 'one changed among 10,000: p99', value: p99, unit: 'ms'},
        {
          label: 'the live one changed, of which all may be a part: p50',
          value: percentile(live, 0.5),
          unit: 'ms',
        },
        {label: 'resident memory of the controller', value: memory, unit: 'MB', limit: 250},
      ],
      values: {p50_ms: p50, p99_ms: p99, pushes: times.length, histogram: histogram(times), rss_mb: memory},
      notes: [
        `one changed among 10,000, ${times.length} commits: ${histogramLine(times)}`,
        `the live one, ${live.length} commits: ${histogramLine(live)}`,
      ],
    };
  },
};

function crontabOf(round: number): string {
  return `0 3 1 1 * echo ${round}\n`;
}

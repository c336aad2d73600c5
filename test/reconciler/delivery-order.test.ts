import {equal} from 'node:assert/strict';
import test, {type ExecutionContext} from 'ava';
import fc from 'fast-check';
import {createPullRequests} from '../../reconciler/pull-requests.ts';
import {openLocalSource} from '../../reconciler/sources/git-local.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {FakeClock} from '../helpers/fake-clock.ts';
import {createGitWorld, type Teardown} from '../helpers/git-world.ts';
import {createGitHubStandIn} from '../helpers/github-stand-in.ts';
import {openStandInForge} from '../helpers/stand-in-forge.ts';
import {createWatchWorld} from '../helpers/watch-world.ts';
import {createWebhookWorld} from '../helpers/webhook-world.ts';

const repository = {html_url: 'https://github.com/acme/shop'};
const names = ['p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'p7'] as const;
type Name = (typeof names)[number];

/** Something that people do; each is told by one webhook, which comes when and as often as it likes. */
interface Deed {
  readonly what: 'push' | 'delete' | 'open' | 'close';
  readonly branch: Name;
  /** Webhooks that come after it, by the place of their deed among those done so far. */
  readonly told: readonly number[];
}

const deeds = fc.array(
  fc.record({
    what: fc.constantFrom('push', 'push', 'delete', 'open', 'close'),
    branch: fc.constantFrom(...names.slice(0, 3)),
    told: fc.array(fc.nat({max: 20}), {maxLength: 3}),
  }) satisfies fc.Arbitrary<Deed>,
  {minLength: 3, maxLength: 8},
);

async function setup(
  t: ExecutionContext & Teardown,
  gitHub: Awaited<ReturnType<typeof createGitHubStandIn>>,
) {
  const git = await createGitWorld(t, {bare: true});
  const files = (text: string) => ({'.hoody/crontab': `0 * * * * echo ${text}\n`});
  for (const name of ['main', ...names]) await git.commit(name, files(name));
  const {environment} = git;
  const source = await openLocalSource({path: git.path, environment, clock: systemClock, log: silentLog});
  const clock = new FakeClock();
  const {watch, records, signal} = createWatchWorld(t, {
    source: {
      ...source,
      list: async (options) => ({...(await source.list(options)), listedAtMs: clock.now()}),
    },
    clock,
    intervalMs: 3_600_000,
  });
  const pulls = createPullRequests({
    forge: openStandInForge(gitHub),
    repository: git.path,
    forgePath: 'github.com/acme/shop',
    records: () => records.values(),
    forks: null,
    isKept: () => false,
    onRead() {},
    onEnded: () => watch.pass(),
    clock: systemClock,
    log: silentLog,
    random: () => 0.5,
    intervalMs: 3_600_000,
    signal,
  });
  const hooks = await createWebhookWorld(t, {
    repositories: [{repository: git.path, forgePath: 'github.com/acme/shop', servesForks: false}],
    look: () => watch.pass(),
    commitOf: (_repository, branch) => watch.commitOf(branch),
    onPullRequest: () => void pulls.look(),
  });
  await watch.pass();
  return {git, files, clock, watch, pulls, hooks, records};
}

/** Ends what a run of the property made, where AVA's `t` would keep it to the end of the test. */
async function inWorld(run: (teardown: Teardown) => Promise<void>): Promise<void> {
  const ends: (() => unknown)[] = [];
  try {
    await run({teardown: (end) => void ends.push(end)});
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

test('webhooks that are lost, doubled, late or in any order lead to what git and GitHub have', async (t) => {
  const gitHub = await createGitHubStandIn(t);
  t.pass();
  await fc.assert(
    fc.asyncProperty(deeds, async (done) =>
      inWorld(async (teardown) => {
        const world = await setup(Object.assign(Object.create(t), teardown), gitHub);
        const {git, files, clock, watch, pulls, hooks, records} = world;
        const tips = new Map<string, string>();
        for (const name of names) tips.set(name, await git.git('rev-parse', `refs/heads/${name}`));
        const numbers = new Map<string, number>(names.map((name, index) => [name, index + 1]));
        gitHub.pulls = [];
        const letters: {event: string; payload: object; delivery: string}[] = [];
        const post = (event: string, payload: object) =>
          letters.push({event, payload: {...payload, repository}, delivery: crypto.randomUUID()});

        for (const {what, branch, told} of done) {
          const tip = tips.get(branch);
          const number = numbers.get(branch) ?? 0;
          const pull = (state: 'open' | 'closed', commit: string) => {
            gitHub.pulls = [
              {number, branch, commit, state},
              ...gitHub.pulls.filter((other) => other.number !== number),
            ];
            const repo = {id: 1};
            const action = state === 'open' ? 'opened' : 'closed';
            const head = {ref: branch, sha: commit, repo};
            post('pull_request', {action, number, pull_request: {head, base: {repo}}});
          };
          if (what === 'push') {
            const commit = await git.commit(branch, files(crypto.randomUUID()));
            tips.set(branch, commit);
            const open = gitHub.pulls.find((known) => known.number === number && known.state !== 'closed');
            if (open !== undefined) pull('open', commit);
            post('push', {ref: `refs/heads/${branch}`, after: commit});
          } else if (what === 'delete' && tip !== undefined) {
            await git.deleteBranch(branch);
            tips.delete(branch);
            post('delete', {ref: branch, ref_type: 'branch'});
          } else if (what === 'open' && tip !== undefined) pull('open', tip);
          else if (what === 'close' && tip !== undefined) pull('closed', tip);
          clock.step(3000);
          for (const place of told) {
            const letter = letters[place];
            if (letter === undefined) continue;
            equal((await hooks.send(letter.event, letter.payload, letter)).status, 202);
          }
        }
        await hooks.deliveries.settled();
        // The polls that make up for what was lost; two of them, for a deletion takes two looks.
        await watch.pass();
        await pulls.look();
        clock.step(3000);
        await watch.pass();
        for (const name of names) {
          const [record, tip] = [records.get(name), tips.get(name) ?? null];
          equal(record?.revision ?? null, tip, name);
          const pull = gitHub.pulls.find(({branch}) => branch === name);
          const cause =
            tip === null
              ? 'branch_deleted'
              : pull?.state === 'closed' && pull.commit === tip
                ? 'pull_request_closed'
                : null;
          equal(record?.missing?.cause ?? null, cause, name);
          if (cause !== null) equal(record?.missing?.proven, true, name);
        }
      }),
    ),
    {numRuns: 12},
  );
});

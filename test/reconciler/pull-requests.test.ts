import test, {type ExecutionContext} from 'ava';
import {newBranchRecord} from '../../reconciler/branch-record.ts';
import {createPullRequests} from '../../reconciler/pull-requests.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {createGitHubStandIn, type StandInPull} from '../helpers/github-stand-in.ts';
import {openStandInForge} from '../helpers/stand-in-forge.ts';

const commit = 'a'.repeat(40);
const other = 'b'.repeat(40);

async function setup(t: ExecutionContext) {
  const gitHub = await createGitHubStandIn(t);
  const forge = openStandInForge(gitHub);
  const records = ['main', 'feature/x', 'staging'].map((branch) => ({
    ...newBranchRecord({repository: '/srv/shop', path: '.', branch, live: branch === 'main'}),
    revision: commit,
  }));
  let ends = 0;
  const pulls = createPullRequests({
    forge,
    repository: '/srv/shop',
    forgePath: 'github.com/acme/shop',
    records: () => records,
    isKept: ({branch}) => branch === 'staging',
    forks: null,
    onRead() {},
    async onEnded() {
      ends += 1;
    },
    clock: systemClock,
    log: silentLog,
    random: () => 0.5,
    intervalMs: 3_600_000,
    signal: new AbortController().signal,
  });
  const closedOf = (branch: string) => records.find((record) => record.branch === branch)?.closed;
  return {gitHub, pulls, closedOf, ends: () => ends};
}

const cases: readonly {
  readonly title: string;
  readonly pulls: readonly Omit<StandInPull, 'branch'>[];
  readonly ended: number | null;
}[] = [
  {title: 'without one', pulls: [], ended: null},
  {title: 'that is open', pulls: [{number: 1, commit}], ended: null},
  {title: 'that is closed', pulls: [{number: 1, commit, state: 'closed'}], ended: 1},
  {title: 'that is merged', pulls: [{number: 1, commit, state: 'closed', merged: true}], ended: 1},
  {
    title: 'that was closed at an older commit',
    pulls: [{number: 1, commit: other, state: 'closed'}],
    ended: null,
  },
  {
    title: 'that is closed beside an open one',
    pulls: [
      {number: 1, commit, state: 'closed'},
      {number: 2, commit, base: 'release'},
    ],
    ended: null,
  },
  {
    title: 'of a fork that is closed',
    pulls: [{number: 1, commit, state: 'closed', isFork: true}],
    ended: null,
  },
];
for (const {title, pulls: given, ended} of cases) {
  test(`a preview with a pull request ${title} ${ended === null ? 'goes on' : 'ends'}`, async (t) => {
    const {gitHub, pulls, closedOf, ends} = await setup(t);
    gitHub.pulls = given.map((pull) => ({...pull, branch: 'feature/x'}));
    await pulls.look();
    t.deepEqual(closedOf('feature/x'), ended === null ? null : {revision: commit, pull_request: ended});
    t.is(ends(), ended === null ? 0 : 1);
  });
}

test('live and kept branches never end with a pull request', async (t) => {
  const {gitHub, pulls, closedOf} = await setup(t);
  gitHub.pulls = [
    {number: 1, branch: 'main', commit, state: 'closed', base: 'release'},
    {number: 2, branch: 'staging', commit, state: 'closed', merged: true},
  ];
  await pulls.look();
  t.deepEqual([closedOf('main'), closedOf('staging')], [null, null]);
});

for (const kind of ['html', 'truncated', {status: 403}] as const) {
  test(`a listing that fails by ${JSON.stringify(kind)} changes nothing, in neither direction`, async (t) => {
    const {gitHub, pulls, closedOf, ends} = await setup(t);
    gitHub.pulls = [{number: 1, branch: 'feature/x', commit, state: 'closed'}];
    await pulls.look();
    gitHub.pulls = [{number: 1, branch: 'feature/x', commit}];
    gitHub.fail({when: /pulls/, kind});
    await pulls.look();
    t.is(closedOf('feature/x')?.pull_request, 1);
    t.is(ends(), 1);
    await pulls.look();
    t.is(closedOf('feature/x'), null);
    t.is(ends(), 2);
  });
}

test('an empty listing takes nothing back that was certain', async (t) => {
  const {gitHub, pulls, closedOf} = await setup(t);
  gitHub.pulls = [{number: 1, branch: 'feature/x', commit, state: 'closed'}];
  await pulls.look();
  gitHub.pulls = [];
  await pulls.look();
  t.is(closedOf('feature/x')?.pull_request, 1);
});

test('a branch whose pull request is on no page of the last ones is asked for, once', async (t) => {
  const {gitHub, pulls, closedOf} = await setup(t);
  const crowd = Array.from({length: 100}, (_, index) => ({
    number: 1000 - index,
    branch: `other/${index}`,
    commit,
  }));
  gitHub.pulls = [...crowd, {number: 3, branch: 'feature/x', commit, state: 'closed'}];
  await pulls.look();
  t.is(closedOf('feature/x')?.pull_request, 3);
  const {length} = gitHub.requests;
  await pulls.look();
  t.is(gitHub.requests.length, length + 1);
});

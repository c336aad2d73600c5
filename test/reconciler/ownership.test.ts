import {mkdir, mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {createClaimFile, releaseClaims} from '../../reconciler/claim-file.ts';
import {createOwnership} from '../../reconciler/ownership.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {parseClaim} from '../../schemas/claim.ts';

async function setup(t: ExecutionContext) {
  const directory = await mkdtemp(join(tmpdir(), 'bt-owner-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const gone = new Set<string>();
  const controller = (
    digit: string,
    {host = 'here', stateDirectory = `/state/${digit}`, identity = '/srv/shop.git'} = {},
  ) =>
    createOwnership({
      repository: '/srv/shop.git',
      places: [createClaimFile({directory, identity, clock: systemClock})],
      self: {owner: digit.repeat(32), host, stateDirectory},
      isThere: async ({state_directory}) => !gone.has(state_directory),
      describe: async ({state_directory}) => state_directory,
      clock: systemClock,
      log: silentLog,
    });
  const claimed = async (ownership: ReturnType<typeof controller>, takeOver = false) => {
    await ownership.claim({takeOver});
    return (await ownership.obstacle()) === null;
  };
  return {directory, controller, claimed, gone};
}

test('of many controllers that start at once one has the repository', async (t) => {
  const {controller, claimed} = await setup(t);
  const digits = [...'0123456789abcdef'];
  const results = await Promise.all(digits.map((digit) => claimed(controller(digit))));
  t.is(results.filter(Boolean).length, 1);
});

test('the former owner is fenced before its next change, and stays so', async (t) => {
  const {controller, claimed} = await setup(t);
  const first = controller('a');
  t.true(await claimed(first));
  const second = controller('b');
  t.false(await claimed(second));
  t.regex((await second.obstacle()) ?? '', /belongs to \/state\/a\..*--take-over/);

  const third = controller('b');
  const replaced = await third.claim({takeOver: true});
  t.deepEqual(
    replaced.map(({owner}) => owner),
    ['a'.repeat(32)],
  );
  t.is(await third.obstacle(), null);
  t.regex((await first.obstacle()) ?? '', /belongs to \/state\/b/);
  await third.release();
  t.regex((await first.obstacle()) ?? '', /belongs to \/state\/b/, 'until it is started again');
  t.true(await claimed(controller('a')));
});

test('who is fenced takes back nothing of its new owner', async (t) => {
  const {controller, claimed} = await setup(t);
  const first = controller('a');
  await claimed(first);
  const second = controller('b');
  await claimed(second, true);
  await first.obstacle();
  await first.release();
  t.is(await second.obstacle(), null);
  t.false(await claimed(controller('c')));
});

test('a state directory that was moved is the same owner, a copy of it is another, one that is gone is none', async (t) => {
  const {controller, claimed, gone} = await setup(t);
  await claimed(controller('a'));
  t.false(await claimed(controller('a', {stateDirectory: '/state/copy'})));
  gone.add('/state/a');
  t.true(await claimed(controller('a', {stateDirectory: '/state/moved'})));
  gone.add('/state/moved');
  t.true(await claimed(controller('b')));
});

test('of another machine nobody can tell here that its state directory is gone', async (t) => {
  const {controller, claimed, gone} = await setup(t);
  await claimed(controller('a', {host: 'there'}));
  gone.add('/state/a');
  t.false(await claimed(controller('b')));
  t.true(await claimed(controller('b'), true));
});

test('other repositories are not concerned', async (t) => {
  const {controller, claimed} = await setup(t);
  await claimed(controller('a'));
  t.true(await claimed(controller('b', {identity: '/srv/other.git'})));
});

test('claims of one owner are released, those of others are kept', async (t) => {
  const {directory, controller, claimed} = await setup(t);
  await claimed(controller('a'));
  await claimed(controller('b', {identity: '/srv/other.git'}));
  await releaseClaims(directory, 'a'.repeat(32), systemClock);
  const left = (await readdir(directory)).filter((name) => name.endsWith('.json'));
  t.is(left.length, 1);
  t.is(parseClaim(await readFile(join(directory, left[0] ?? ''), 'utf8'))?.owner, 'b'.repeat(32));
  await releaseClaims(join(directory, 'nothing-here'), 'a'.repeat(32), systemClock);
});

test('a place that cannot be read keeps nobody from working', async (t) => {
  const {directory, controller, claimed} = await setup(t);
  const first = controller('a');
  await claimed(first);
  const [name = ''] = (await readdir(directory)).filter((each) => each.endsWith('.json'));
  await rm(join(directory, name));
  await mkdir(join(directory, name));
  t.is(await first.obstacle(), null);
  t.true(await claimed(controller('b')));
});

const claim = {
  schema_version: 1,
  owner: 'a'.repeat(32),
  repository: '/srv/shop.git',
  host: 'here',
  state_directory: '/state/a',
  claimed_at: '2026-01-01T00:00:00.000Z',
};

test('a claim is read as it was written', (t) => {
  t.deepEqual(parseClaim(JSON.stringify(claim)), claim);
});

for (const {what, text} of [
  {what: 'nothing', text: ''},
  {what: 'half of a claim', text: JSON.stringify(claim).slice(0, 40)},
  {what: 'a list', text: '[]'},
  {what: 'a later version', text: JSON.stringify({...claim, schema_version: 2})},
  {what: 'an owner that is a path', text: JSON.stringify({...claim, owner: '../../etc'})},
  {what: 'a host that paints the terminal', text: JSON.stringify({...claim, host: '\u001b[2J'})},
  {
    what: 'a directory that turns the text around',
    text: JSON.stringify({...claim, state_directory: '\u202e'}),
  },
  {what: 'a time that is none', text: JSON.stringify({...claim, claimed_at: 'yesterday'})},
  {what: 'more than a claim can be', text: JSON.stringify({...claim, more: 'x'.repeat(20_000)})},
]) {
  test(`${what} is no claim that says who, and yet a claim`, async (t) => {
    t.is(parseClaim(text), null);
    const {directory, controller, claimed} = await setup(t);
    await claimed(controller('a'));
    const [name = ''] = (await readdir(directory)).filter((each) => each.endsWith('.json'));
    await writeFile(join(directory, name), text);
    t.false(await claimed(controller('b')));
    t.true(await claimed(controller('b'), true));
  });
}

import test from 'ava';
import {createAdmission} from '../../reconciler/admission.ts';
import {newBranchRecord} from '../../reconciler/branch-record.ts';

const record = (branch: string, {live = false, repository = 'r'} = {}) =>
  newBranchRecord({repository, path: '.', branch, live});

function setup({previews = 2, disk = 50, memory = 50, occupied = [] as string[]} = {}) {
  const room = {freeDiskPercent: disk, freeMemoryPercent: memory};
  const admission = createAdmission({
    limits: {previewsPerRepository: previews, minFreeDiskPercent: 10, minFreeMemoryPercent: 10},
    occupied: () => occupied,
    room: async () => room,
  });
  return {admission, room};
}

test('previews up to the limit get a container, one more is told the limit and what to do', async (t) => {
  const {admission} = setup();
  await admission.admit(record('a'));
  await admission.admit(record('b'));
  await t.throwsAsync(admission.admit(record('c')), {
    code: 'LIMIT_REACHED',
    message: /2 previews .*limits\.previews_per_repository is 2.*branchtab\.yaml/,
  });
  // Who has a place keeps it, and another repository has places of its own.
  await t.notThrowsAsync(admission.admit(record('a')));
  await t.notThrowsAsync(admission.admit(record('c', {repository: 'other'})));
});

test('at the same time no more than the limit come in', async (t) => {
  const {admission} = setup({previews: 5});
  const all = await Promise.allSettled(
    Array.from({length: 20}, (_, index) => admission.admit(record(`b${index}`))),
  );
  t.is(all.filter(({status}) => status === 'fulfilled').length, 5);
});

test('a place that is left is free, one that is occupied is not', async (t) => {
  const {admission} = setup({previews: 2, occupied: ['somebody']});
  await admission.admit(record('a'));
  await t.throwsAsync(admission.admit(record('b')), {code: 'LIMIT_REACHED'});
  admission.leave(record('a'));
  await t.notThrowsAsync(admission.admit(record('b')));
});

for (const [what, least] of [
  ['disk', {disk: 9.9}],
  ['memory', {memory: 9.9}],
] as const) {
  test(`with little ${what} left no preview comes in, and the live branch does`, async (t) => {
    const {admission, room} = setup(least);
    await t.throwsAsync(admission.admit(record('a')), {
      code: 'HOST_FULL',
      message: new RegExp(`9\\.9 % of its ${what} free.*limits\\.min_free_${what}_percent is 10`),
    });
    await t.notThrowsAsync(admission.admit(record('main', {live: true})));
    Object.assign(room, {freeDiskPercent: 10, freeMemoryPercent: 10});
    await t.notThrowsAsync(admission.admit(record('a')));
  });
}

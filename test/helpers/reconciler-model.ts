import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import fc from 'fast-check';
import type {Container} from '../../reconciler/containers/provider.ts';
import type {Controller} from '../../reconciler/controller.ts';
import type {Branch} from '../../schemas/branch.ts';
import {parseCrontab, rawText} from '../../schemas/crontab.ts';
import type {Run} from '../../schemas/run.ts';
import {isTrue} from './controller-world.ts';
import type {Fault, ReconcilerWorld} from './reconciler-world.ts';

const minuteMs = 60_000;
const parsing = {file: '.hoody/crontab', managedAllowed: true};
const live = 'main';
const previews = ['a', 'b', 'team/c'] as const;
type Name = typeof live | (typeof previews)[number];

/** `comment` says in other words what the commit before says. */
type Kind = 'good' | 'comment' | 'bad' | 'without';

interface Version {
  readonly commit: string;
  readonly kind: Kind;
  /** Of the crontab; null where there is none that can be used. */
  readonly text: string | null;
}

/** What git says, and what people did behind its back. */
export interface ReconcilerModel {
  readonly tips: Map<Name, Version>;
  /** Every crontab that a branch of this name has had and that can be used. */
  readonly texts: Map<Name, Set<string>>;
  /** Live has, or had once, all that these branches have. */
  readonly merged: Set<Name>;
  /** By container, what people made in it by hand. */
  readonly handmade: Map<string, {files: string[]; entries: string[]}>;
  made: number;
}

export function createReconcilerModel(): ReconcilerModel {
  return {tips: new Map(), texts: new Map(), merged: new Set(), handmade: new Map(), made: 0};
}

type Command = fc.AsyncCommand<ReconcilerModel, ReconcilerWorld>;

/** Lines that are due each minute, so that each minute tells whether a run was lost or doubled. */
function crontabOf(made: number, kind: Kind): string | null {
  if (kind === 'without') return null;
  if (kind === 'bad') return `* * * * * echo tick ${made}\nevery now and then echo never\n`;
  return `# ${made}\n* * * * * echo tick ${made}\n0 3 1 1 * echo yearly\n`;
}

/** A branch becomes one new commit of these files, on `parents` or on none. */
async function commit(
  world: ReconcilerWorld,
  {
    branch,
    parents,
    kind,
    text,
    made,
  }: {branch: Name; parents: string[]; kind: Kind; text: string | null; made: number},
): Promise<Version> {
  const who = 'Test <test@example.org> 1767225600 +0000';
  const block = (content: string) => `data ${Buffer.byteLength(content)}\n${content}\n`;
  const files = {...(text === null ? {} : {'.hoody/crontab': text}), 'made.txt': `${made}\n`};
  const [first, ...others] = parents;
  const id = await world.git.gitWithInput(
    [
      `reset refs/heads/${branch}\n${first === undefined ? '' : `from ${first}\n`}\n`,
      `commit refs/heads/${branch}\nmark :1\nauthor ${who}\ncommitter ${who}\n${block(String(made))}`,
      ...(first === undefined ? [] : [`from ${first}\n`]),
      ...others.map((other) => `merge ${other}\n`),
      'deleteall\n',
      ...Object.entries(files).map(([path, content]) => `M 100644 inline ${path}\n${block(content)}`),
      '\nget-mark :1\n',
    ].join(''),
    ...['fast-import', '--quiet', '--force'],
  );
  return {commit: id, kind, text: kind === 'bad' ? null : text};
}

function remember(model: ReconcilerModel, branch: Name, version: Version): void {
  model.tips.set(branch, version);
  const texts = model.texts.get(branch) ?? new Set();
  if (version.text !== null) texts.add(version.text);
  model.texts.set(branch, texts);
}

/** Pushes a new commit of a kind on top of the branch, or in its place. */
async function push(
  model: ReconcilerModel,
  world: ReconcilerWorld,
  {branch, kind, force}: {branch: Name; kind: Kind; force: boolean},
): Promise<void> {
  model.made += 1;
  const {made} = model;
  const tip = model.tips.get(branch);
  const base = tip ?? (branch === live ? undefined : model.tips.get(live));
  const former = tip?.text ?? null;
  const text = kind === 'comment' && former !== null ? `# ${made}\n${former}` : crontabOf(made, kind);
  const parents = force || base === undefined ? [] : [base.commit];
  remember(model, branch, await commit(world, {branch, parents, kind, text, made}));
  if (kind === 'without') world.mayGo.add(branch);
  model.merged.delete(branch);
}

function told(world: ReconcilerWorld): void {
  void world.controller?.look(world.git.path, {kind: 'webhook'});
}

/** A live branch that a controller serves. */
export async function begin(model: ReconcilerModel, world: ReconcilerWorld): Promise<void> {
  await push(model, world, {branch: live, kind: 'good', force: false});
  await world.start();
  await world.settle();
}

/** One thing that somebody does; `afterMs` is how long nothing else happens. */
function step(
  text: string,
  run: (model: ReconcilerModel, world: ReconcilerWorld) => Promise<void>,
  afterMs: number,
): Command {
  return {
    check: () => true,
    toString: () => (afterMs === 0 ? text : `${text}, ${afterMs} ms`),
    async run(model, world) {
      await run(model, world);
      await world.advance(afterMs);
      const [violation] = world.violations;
      if (violation !== undefined) throw new Error(`${violation} after: ${text}`);
    },
  };
}

const after = fc.constantFrom(0, 0, 300, 3000, 20_000, 70_000);
const preview = fc.constantFrom(...previews);
const anyBranch = fc.constantFrom<Name>(live, ...previews);
const kind = fc.constantFrom<Kind>('good', 'good', 'good', 'comment', 'bad', 'without');
const faults = fc.constantFrom<Fault>(
  'kill_controller',
  'kill_controller',
  'kill_runtime',
  'fill_disk',
  'cut_git',
);

/** All that people and hosts do. Where git cannot be reached, nobody pushes. */
export const reconcilerCommands: fc.Arbitrary<Command>[] = [
  ...[1, 2, 3].map(() =>
    fc.tuple(anyBranch, kind, fc.boolean(), after).map(([branch, how, isTold, afterMs]) =>
      step(
        `push ${how} to ${branch}`,
        async (model, world) => {
          if (world.isCut) return;
          await push(model, world, {branch, kind: how, force: false});
          if (isTold) told(world);
        },
        afterMs,
      ),
    ),
  ),
  fc.tuple(anyBranch, kind, after).map(([branch, how, afterMs]) =>
    step(
      `force-push ${how} to ${branch}`,
      async (model, world) => {
        if (!world.isCut) await push(model, world, {branch, kind: how, force: true});
      },
      afterMs,
    ),
  ),
  fc.tuple(fc.constantFrom<Name>(live, ...previews, ...previews), after).map(([branch, afterMs]) =>
    step(
      `delete ${branch}`,
      async (model, world) => {
        if (world.isCut || !model.tips.delete(branch)) return;
        model.merged.delete(branch);
        await world.git.git('update-ref', '-d', `refs/heads/${branch}`);
      },
      afterMs,
    ),
  ),
  fc.tuple(preview, preview, after).map(([from, to, afterMs]) =>
    step(
      `rename ${from} to ${to}`,
      async (model, world) => {
        const tip = model.tips.get(from);
        if (world.isCut || tip === undefined || model.tips.has(to)) return;
        await world.git.git('branch', '-m', from, to);
        model.tips.delete(from);
        remember(model, to, tip);
        if (model.merged.delete(from)) model.merged.add(to);
        if (tip.kind === 'without') world.mayGo.add(to);
        if (model.merged.has(to)) world.mayGo.add(to);
      },
      afterMs,
    ),
  ),
  fc.tuple(preview, after).map(([branch, afterMs]) =>
    step(
      `merge ${branch}`,
      async (model, world) => {
        const [ours, theirs] = [model.tips.get(live), model.tips.get(branch)];
        if (world.isCut || ours === undefined || theirs?.text == null || ours.commit === theirs.commit)
          return;
        model.made += 1;
        const {made} = model;
        const parents = [ours.commit, theirs.commit];
        const version = {branch: live, parents, kind: 'good', text: theirs.text, made} as const;
        remember(model, live, await commit(world, version));
        model.merged.add(branch);
        world.mayGo.add(branch);
      },
      afterMs,
    ),
  ),
  fc.tuple(anyBranch, after).map(([branch, afterMs]) =>
    step(
      `edit ${branch} by hand`,
      async (model, world) => {
        const container = await world.containerOf(branch);
        if (container?.state !== 'running') return;
        model.made += 1;
        const signal = AbortSignal.timeout(30_000);
        // A full disk refuses it, and what is refused did not happen.
        await world
          .client(container)
          .putCrontab('root', `* * * * * echo tick by hand ${model.made}\n`, {signal, ifMatch: null})
          .catch(() => {});
      },
      afterMs,
    ),
  ),
  fc.tuple(anyBranch, after).map(([branch, afterMs]) =>
    step(
      `make an entry and a file in ${branch}`,
      async (model, world) => {
        const container = await world.containerOf(branch);
        if (container?.state !== 'running') return;
        model.made += 1;
        const own = model.handmade.get(container.id) ?? {files: [], entries: []};
        model.handmade.set(container.id, own);
        const comment = `by hand ${model.made}`;
        const answer = await fetch(`${container.kitUrl}/users/root/entries`, {
          method: 'POST',
          headers: {'Content-Type': 'application/json'},
          body: JSON.stringify({schedule: '0 4 1 1 *', command: `echo ${comment}`, comment}),
        });
        if (answer.status === 201) own.entries.push(comment);
        const file = join(dataOf(world, container.id), `made-${model.made}`);
        const isWritten = await writeFile(file, comment, {flush: true}).then(
          () => true,
          () => false,
        );
        if (isWritten) own.files.push(file);
      },
      afterMs,
    ),
  ),
  fc
    .tuple(faults, fc.integer({min: 1, max: 30}), anyBranch, after)
    .map(([fault, calls, branch, afterMs]) =>
      step(
        `${fault} ${branch} at call ${calls}`,
        async (_model, world) => world.trap(calls, fault, branch),
        afterMs,
      ),
    ),
  fc
    .tuple(faults, anyBranch, after)
    .map(([fault, branch, afterMs]) =>
      step(`${fault} ${branch}`, async (_model, world) => world.fault(fault, branch), afterMs),
    ),
  after.map((afterMs) =>
    step('start a controller', async (_model, world) => void (await world.start()), afterMs),
  ),
  after.map((afterMs) => step('mend', async (_model, world) => world.mend(), afterMs)),
  fc
    .tuple(fc.constantFrom(-15, -3, 0.5, 4, 20), after)
    .map(([minutes, afterMs]) =>
      step(
        `set the clock by ${minutes} minutes`,
        async (_model, world) => world.skew(minutes * minuteMs),
        afterMs,
      ),
    ),
  fc.constantFrom(90_000, 200_000).map((waitMs) => step('wait', async () => {}, waitMs)),
];

function dataOf(world: ReconcilerWorld, containerId: string): string {
  return join(world.stateDirectory, 'containers', containerId, 'data');
}

/** Mends everything, waits until all is quiet, and holds what is against what should be. Throws an Error in words. */
export async function checkAtRest(model: ReconcilerModel, world: ReconcilerWorld): Promise<void> {
  await world.mend();
  let problem = 'nothing was looked at';
  // The longest pause between two tries is 18 minutes.
  for (let waitedMs = 0; waitedMs < 40 * minuteMs; ) {
    const waitMs = waitedMs < minuteMs ? 15_000 : 5 * minuteMs;
    await world.advance(waitMs);
    waitedMs += waitMs;
    const [violation] = world.violations;
    if (violation !== undefined) throw new Error(violation);
    const {controller} = world;
    if (controller === null) throw new Error('the controller cannot be started');
    if (controller.repositories().some(({held_deletions}) => held_deletions !== null))
      controller.reconcileAll({confirmDeletions: true});
    const found = await problemOf(model, world);
    if (found === null) return;
    problem = found;
  }
  throw new Error(problem);
}

/** In words, null where all is as it should be. */
async function problemOf(model: ReconcilerModel, world: ReconcilerWorld): Promise<string | null> {
  const names: readonly Name[] = [live, ...previews];
  for (const name of names) {
    const problem = (await problemOfBranch(name, model, world)) ?? (await problemOfRuns(name, world));
    if (problem !== null) return `${name}: ${problem}`;
  }
  return problemOfHandmade(model, world);
}

async function problemOfBranch(
  name: Name,
  model: ReconcilerModel,
  world: ReconcilerWorld,
): Promise<string | null> {
  const tip = model.tips.get(name);
  const branch = world.controller?.branches().find((known) => known.branch === name);
  const container = await world.containerOf(name);
  const texts = model.texts.get(name) ?? new Set();
  const isRunning = container?.state === 'running';
  const signal = AbortSignal.timeout(30_000);
  const state = isRunning ? await world.client(container).state({signal}) : null;
  const text = isRunning ? rawText(parseCrontab(await textOf(world, container), parsing)) : null;
  const says = `${JSON.stringify(branch?.conditions.map(({type, status, message}) => [type, status, message]))}`;
  if (name === live && (tip === undefined || tip.kind === 'without')) {
    if (container === null) return null;
    if (state?.schedule.state !== 'running') return `live does not go on: ${says}`;
    // Where git says nothing, what people change stays.
    return text !== null && (texts.has(text) || text.includes('by hand'))
      ? null
      : `live runs what it never had: ${text}`;
  }
  if (tip === undefined || tip.kind === 'without')
    return isRunning && state?.schedule.state === 'running' ? `it runs although it is gone: ${says}` : null;
  if (model.merged.has(name)) {
    return state?.schedule.state === 'running' && text !== null && !texts.has(text)
      ? `a merged branch runs what it never had: ${text}`
      : null;
  }
  if (tip.kind === 'bad') {
    if (branch === undefined || !isTrue(branch, 'Stalled')) return `a bad commit does not stall it: ${says}`;
    if (container === null || texts.size === 0) return null;
    const runs = state?.schedule.state === 'running';
    // Its controller may have died between making the container and starting it.
    if (branch.observed_revision === null) return runs ? `it runs although nothing is active: ${says}` : null;
    if (!runs) return `a bad commit stops what ran: ${says}`;
    return text !== null && texts.has(text) ? null : `a bad commit lets this run: ${text}`;
  }
  if (branch?.observed_revision !== tip.commit || !isTrue(branch, 'Ready'))
    return `the newest good commit ${tip.commit} is not active: ${says}`;
  if (state?.schedule.state !== 'running') return `its schedule is ${state?.schedule.state}: ${says}`;
  if (text !== tip.text) return `it runs\n${text}\nin place of\n${tip.text}`;
  world.mayGo.delete(name);
  return null;
}

async function textOf(world: ReconcilerWorld, container: Container): Promise<string> {
  const signal = AbortSignal.timeout(30_000);
  return (await world.client(container).crontab('root', {signal})).text;
}

async function problemOfRuns(name: Name, world: ReconcilerWorld): Promise<string | null> {
  const container = await world.containerOf(name);
  if (container?.state !== 'running' || world.controller === null) return null;
  const branch: Branch | undefined = world.controller.branches().find((known) => known.branch === name);
  if (branch === undefined) return null;
  const ticks = (await runsOf(world.controller, branch.key)).filter(({command}) =>
    command.startsWith('echo tick'),
  );
  const byMinute = Map.groupBy(ticks, ({scheduled_at}) => Date.parse(scheduled_at));
  const lookedAtMs = world.nowMs();
  // A runtime looks at its clock every half a minute.
  const due = world.dueMinutes(container.id).filter((minute) => Math.abs(lookedAtMs - minute) > 31_000);
  const lost = due.find((minute) => !byMinute.has(minute));
  if (lost !== undefined) return `no record of the run that was due at ${new Date(lost).toISOString()}`;
  for (const [minute, runs] of byMinute) {
    const started = runs.filter(({started_at, reason}) => started_at !== null && reason === null);
    if (started.length > 1 && !world.repeated.has(minute))
      return `${started.length} runs of the minute ${new Date(minute).toISOString()}: ${started.map(({command}) => command).join('; ')}`;
  }
  return null;
}

async function runsOf(controller: Controller, key: string): Promise<Run[]> {
  const all: Run[] = [];
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<Controller['runs']>> = await controller.runs(key, {
      limit: '200',
      ...(cursor === null ? {} : {cursor}),
    });
    all.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor !== null);
  return all;
}

async function problemOfHandmade(model: ReconcilerModel, world: ReconcilerWorld): Promise<string | null> {
  const containers = await world.containers();
  for (const [id, {files, entries}] of model.handmade) {
    const container = containers.find((known) => known.id === id);
    if (container === undefined) {
      if (world.undoWindowMs > 0) return `the container ${id} is gone with what people made in it`;
      continue;
    }
    for (const file of files)
      if ((await readFile(file, 'utf8').catch(() => null)) === null) return `the file ${file} is gone`;
    if (container.state !== 'running') continue;
    const text = await textOf(world, container);
    const lost = entries.find((comment) => !text.includes(`echo ${comment}\n`));
    if (lost !== undefined) return `the entry "${lost}" is gone from ${container.name}`;
  }
  return null;
}

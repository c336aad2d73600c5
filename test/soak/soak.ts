/**
 * A controller under a day's life in fast motion: pushes, branches that come and go, edits by hand, calls, killed
 * runtimes and controllers. Ends with what was left behind: processes, descriptors, memory, disk, doubled runs.
 *
 *   npm run test:soak -- [--minutes 60] [--seed 1]
 *
 * Exit code 1 on a leak or an error, 2 on wrong arguments.
 */
import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {waveMs} from '../../reconciler/deletion.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import type {Branch} from '../../schemas/branch.ts';
import {active, createControllerWorld, isTrue, type RunningController} from '../helpers/controller-world.ts';
import {wrongMinutes} from '../helpers/due-minutes.ts';
import {createPushWorld, type PushWorld, type Teardown} from '../helpers/git-world.ts';
import {descriptorsOf, filesBelow, processesNaming, residentBytesOf} from '../helpers/host-facts.ts';

const mostBranches = 8;
const minutely = '* * * * * echo soak\n';
const mebibyte = 1024 * 1024;

/** What may grow between the first and the last look at rest. */
const allowed = {descriptors: 8, memoryBytes: 48 * mebibyte, diskBytesPerMinute: mebibyte};

interface Look {
  readonly atMs: number;
  readonly branches: number;
  readonly containers: number;
  readonly strayProcesses: number;
  readonly descriptors: number;
  readonly memoryBytes: number;
  readonly diskBytes: number;
}

/** Numbers in [0, 1) that are the same for the same seed (mulberry32). */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function readArguments(): {minutes: number; seed: number} | null {
  try {
    const {values} = parseArgs({
      options: {minutes: {type: 'string', default: '60'}, seed: {type: 'string', default: '1'}},
    });
    const minutes = Number(values.minutes);
    const seed = Number(values.seed);
    return minutes > 0 && Number.isInteger(seed) ? {minutes, seed} : null;
  } catch {
    // Unknown flags are answered by the usage, as wrong values are.
    return null;
  }
}

class Soak {
  readonly #random: () => number;
  readonly #stateDirectory: string;
  readonly #repository: PushWorld;
  readonly #up: () => Promise<RunningController>;
  #controller: RunningController;
  readonly #commits = new Map<string, string>();
  #made = 0;
  readonly counts = new Map<string, number>();
  #deletedAtMs: number[] = [];

  constructor(options: {
    random: () => number;
    stateDirectory: string;
    repository: PushWorld;
    up: () => Promise<RunningController>;
    controller: RunningController;
  }) {
    this.#random = options.random;
    this.#stateDirectory = options.stateDirectory;
    this.#repository = options.repository;
    this.#up = options.up;
    this.#controller = options.controller;
  }

  get controller(): RunningController {
    return this.#controller;
  }

  /** Gives main a schedule. */
  begin(): Promise<void> {
    return this.#push('main');
  }

  /** One thing that happens in a day; killed controllers only while `withControllerKills`. */
  async step({withControllerKills}: {withControllerKills: boolean}): Promise<void> {
    const steps = [
      {weight: 8, name: 'push', run: () => this.#push(this.#anyName())},
      {weight: 3, name: 'create', run: () => this.#create()},
      {weight: 2, name: 'delete', run: () => this.#delete()},
      {weight: 3, name: 'break and heal', run: () => this.#breakAndHeal()},
      {weight: 2, name: 'edit by hand', run: () => this.#editByHand()},
      {weight: 6, name: 'call', run: () => this.#call()},
      {weight: 1, name: 'kill a runtime', run: () => this.#killRuntime()},
      {weight: withControllerKills ? 1 : 0, name: 'kill the controller', run: () => this.#killController()},
    ].flatMap((step) => Array.from({length: step.weight}, () => step));
    const step = steps[Math.floor(this.#random() * steps.length)];
    if (step === undefined) throw new Error('no step to take');
    this.counts.set(step.name, (this.counts.get(step.name) ?? 0) + 1);
    await step.run();
  }

  async #push(name: string): Promise<void> {
    this.#made += 1;
    const commit = await this.#repository.push(name, {
      '.hoody/crontab': `${minutely}${this.#made % 60} 4 * * * true\n`,
      '.hoody/exec/made.ts': `return ${this.#made};\n`,
      [`files/${this.#made % 50}.txt`]: 'x'.repeat(this.#made % 5000),
    });
    this.#commits.set(name, commit);
    await this.#controller.until(name, active(commit));
  }

  async #create(): Promise<void> {
    await this.#push(this.#commits.size < mostBranches ? `soak/${this.#made + 1}` : this.#anyName());
  }

  async #delete(): Promise<void> {
    const names = [...this.#commits.keys()].filter((name) => name !== 'main');
    const name = names[Math.floor(this.#random() * names.length)];
    if (name === undefined) return;
    await this.#repository.deleteBranch(name);
    this.#commits.delete(name);
    const nowMs = systemClock.now();
    this.#deletedAtMs = [...this.#deletedAtMs.filter((atMs) => nowMs - atMs < 2 * waveMs), nowMs];
    // A machine that is quick deletes so many in a row that the breaker takes them for a mistake.
    if (this.#deletedAtMs.length > 3) await this.#controller.client.reconcileAll({confirmDeletions: true});
    await this.#controller.untilForgotten(name);
  }

  async #breakAndHeal(): Promise<void> {
    const name = this.#anyName();
    const bad = await this.#repository.push(name, {'.hoody/crontab': `61 * * * * true # ${this.#made}\n`});
    await this.#controller.until(name, (branch) => branch.revision === bad && isTrue(branch, 'Stalled'));
    await this.#push(name);
  }

  async #editByHand(): Promise<void> {
    const {branch, kits} = await this.#anyBranch();
    const before = await this.#controller.crontab(branch);
    await fetch(`${kits.cron}/users/root/crontab`, {
      method: 'PUT',
      headers: {'Content-Type': 'text/plain'},
      body: '0 0 1 1 * true\n',
    });
    await this.#controller.until(
      branch.branch,
      ({history: [newest]}) =>
        newest?.at !== branch.history[0]?.at && newest?.message.includes('changed by hand') === true,
    );
    const after = await this.#controller.crontab(branch);
    if (after !== before)
      throw new Error(`${branch.branch}: the crontab was not put back: ${JSON.stringify(after)}`);
  }

  async #call(): Promise<void> {
    const {kits} = await this.#anyBranch();
    const answer = await fetch(`${kits.exec}/made`);
    if (answer.status !== 200)
      throw new Error(`a call was answered ${answer.status}: ${await answer.text()}`);
  }

  async #killRuntime(): Promise<void> {
    const {branch} = await this.#anyBranch();
    const id = branch.container?.id.slice('ctr_'.length) ?? '';
    const path = join(this.#stateDirectory, 'containers', id, 'container.json');
    const record = JSON.parse(await readFile(path, 'utf8')) as {process: {runtime: {pid: number}} | null};
    if (record.process === null) return;
    process.kill(record.process.runtime.pid, 'SIGKILL');
    const died = async () => {
      const now = JSON.parse(await readFile(path, 'utf8')) as typeof record;
      return now.process !== null && now.process.runtime.pid !== record.process?.runtime.pid;
    };
    while (!(await died())) await systemClock.sleep(100);
    await this.#controller.until(branch.branch, ({container}) => container?.state === 'running');
  }

  async #killController(): Promise<void> {
    await this.#controller.kill();
    this.#controller = await this.#up();
    for (const [name, commit] of this.#commits) await this.#controller.until(name, active(commit));
  }

  async #anyBranch(): Promise<{branch: Branch; kits: {cron: string; exec: string}}> {
    const name = this.#anyName();
    const commit = this.#commits.get(name) ?? '';
    const branch = await this.#controller.until(name, active(commit));
    if (branch.container === null) throw new Error(`${name} is ready and has no container`);
    return {branch, kits: branch.container.urls};
  }

  #anyName(): string {
    const names = [...this.#commits.keys()];
    return names[Math.floor(this.#random() * names.length)] ?? 'main';
  }

  /** Only main is left, so that looks can be compared. */
  async rest(): Promise<void> {
    for (const name of [...this.#commits.keys()]) {
      if (name === 'main') continue;
      await this.#repository.deleteBranch(name);
      // So many in a row look like a mistake, and would be held.
      await this.#controller.client.reconcileAll({confirmDeletions: true});
      await this.#controller.untilForgotten(name);
      this.#commits.delete(name);
    }
  }

  async look(): Promise<Look> {
    const directory = this.#stateDirectory;
    const containers = await readdir(join(directory, 'containers'));
    const naming = await processesNaming(join(directory, 'containers'));
    const ofContainers = await Promise.all(containers.map((id) => processesNaming(id)));
    const known = new Set(ofContainers.flat());
    return {
      atMs: Date.now(),
      branches: (await this.#controller.client.branches()).length,
      containers: containers.length,
      strayProcesses: naming.filter((pid) => !known.has(pid)).length,
      descriptors: await descriptorsOf(this.#controller.pid),
      memoryBytes: await residentBytesOf(this.#controller.pid),
      diskBytes: (await filesBelow(directory)).bytes,
    };
  }
}

/** Sentences about what grew or was left; empty where nothing did. */
function leaks(first: Look, last: Look): string[] {
  const minutes = (last.atMs - first.atMs) / 60_000;
  const mib = (bytes: number) => `${(bytes / mebibyte).toFixed(1)} MiB`;
  return [
    ...(last.containers === last.branches
      ? []
      : [`${last.containers} containers for ${last.branches} branches`]),
    ...(last.strayProcesses === 0 ? [] : [`${last.strayProcesses} processes of containers that are gone`]),
    ...(last.descriptors <= first.descriptors + allowed.descriptors
      ? []
      : [`descriptors from ${first.descriptors} to ${last.descriptors}`]),
    ...(last.memoryBytes <= first.memoryBytes + allowed.memoryBytes
      ? []
      : [`memory from ${mib(first.memoryBytes)} to ${mib(last.memoryBytes)}`]),
    ...(last.diskBytes <= first.diskBytes + Math.max(4, minutes) * allowed.diskBytesPerMinute
      ? []
      : [`disk from ${mib(first.diskBytes)} to ${mib(last.diskBytes)}`]),
  ];
}

function print(look: Look): void {
  console.log(
    `${new Date(look.atMs).toISOString()} branches ${look.branches} containers ${look.containers} stray ${look.strayProcesses} descriptors ${look.descriptors} memory ${(look.memoryBytes / mebibyte).toFixed(1)} MiB disk ${(look.diskBytes / mebibyte).toFixed(1)} MiB`,
  );
}

async function soak({minutes, seed}: {minutes: number; seed: number}, teardown: Teardown): Promise<string[]> {
  const world = await createControllerWorld(teardown);
  const repository = await createPushWorld(teardown, {fixture: 'simple'});
  const up = () =>
    world.up('--repo', repository.origin.path, '--undo-window', '0', '--branches', 'main,soak/*');
  const day = new Soak({
    random: createRandom(seed),
    stateDirectory: world.stateDirectory,
    repository,
    up,
    controller: await up(),
  });
  await day.begin();
  const startMs = Date.now();
  const phase = async (untilMs: number, withControllerKills: boolean) => {
    let looked = Date.now();
    while (Date.now() < untilMs) {
      await day.step({withControllerKills});
      if (Date.now() - looked < 60_000) continue;
      looked = Date.now();
      print(await day.look());
    }
    await day.rest();
  };
  const spanMs = minutes * 60_000;
  // What one controller's memory does can only be seen while it is not killed.
  await phase(startMs + spanMs / 2, true);
  await phase(startMs + (spanMs * 5) / 8, false);
  const first = await day.look();
  print(first);
  await phase(startMs + spanMs, false);
  const last = await day.look();
  print(last);
  console.log([...day.counts].map(([name, count]) => `${name} ${count}`).join(', '));
  const doubled = wrongMinutes(await day.controller.runs('main'), 'echo soak', startMs, startMs);
  return [...leaks(first, last), ...doubled];
}

const wanted = readArguments();
if (wanted === null) {
  console.error('usage: npm run test:soak -- [--minutes 60] [--seed 1]');
  process.exit(2);
}
const ends: (() => unknown)[] = [];
let found: string[];
try {
  found = await soak(wanted, {teardown: (end) => void ends.unshift(end)});
} catch (error) {
  found = [error instanceof Error ? (error.stack ?? error.message) : String(error)];
} finally {
  for (const end of ends) await end();
}
for (const sentence of found) console.error(`FOUND ${sentence}`);
console.log(found.length === 0 ? 'no leak' : `${found.length} finding(s)`);
process.exit(found.length === 0 ? 0 : 1);

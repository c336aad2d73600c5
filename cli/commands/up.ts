import {appendFileSync} from 'node:fs';
import {appendFile, mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import type {Controller} from '../../reconciler/controller.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {createLog, type Log} from '../../runtime/platform/log.ts';
import type {Branch} from '../../schemas/branch.ts';
import type {Config} from '../../schemas/config.ts';
import {formatDuration} from '../../schemas/duration.ts';
import {AppError} from '../../schemas/errors.ts';
import {branchTable, hostNotices, problems} from '../branch-table.ts';
import {isConfirmed} from '../confirmation.ts';
import {type ControllerProcess, startControllerProcess} from '../controller-process.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import {askAboutFirstContact, type FirstMeeting} from '../first-contact-question.ts';
import {ownCheckout} from '../own-checkout.ts';
import {isTerminalGone, type Running, reload} from '../reload.ts';
import {repositoryNotices} from '../repository-notices.ts';
import {type Environment, readSettings, type SettingsFlags} from '../settings.ts';
import {printable, type Terminal} from '../terminal.ts';

/** How long after the first Ctrl-C a second one still stops the schedules. */
const secondInterruptMs = 2000;
const redrawIntervalMs = 1000;
/** Changes that come closer together are drawn at once. */
const settleMs = 50;

/** `branchtab up`: runs a controller in the foreground until SIGTERM or Ctrl-C. */
export async function up(
  flags: SettingsFlags & {json?: boolean; yes?: boolean; takeOver?: boolean},
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const settings = await readSettings(flags, environment);
  const log = await openLog(settings.stateDirectory);
  const signals = receiveSignals();
  const running = await startControllerProcess({
    settings,
    environment,
    log,
    firstContact: {
      runAll: flags.yes === true,
      agree: (meetings) => agreeToMeet(meetings, signals, terminal),
    },
    takeOver: flags.takeOver === true,
  });
  if (running === null) {
    signals.close();
    terminal.err('Nothing was started.\n');
    return exitCodes.failed;
  }
  const display = flags.json === true ? jsonDisplay : terminal.isTty ? liveDisplay : plainDisplay;
  announceLevel(running, settings.config, terminal);
  let current: Running = {process: running, settings};
  let signal: NodeJS.Signals;
  for (;;) {
    const close = display(current.process, terminal);
    signal = await signals.next();
    close();
    if (signal !== 'SIGHUP' || isTerminalGone()) break;
    const read = () => readSettings(flags, environment);
    const reloaded = await reload(current, read, {environment, log, runAll: flags.yes === true});
    current = reloaded;
    announceReload(reloaded, flags, terminal);
  }
  const stopContainers = signal === 'SIGINT' && (await asksToStopAll(current.process, signals, terminal));
  await current.process.stop({stopContainers});
  signals.close();
  return exitCodes.ok;
}

function announceReload(
  {changes, problem}: {changes: readonly string[]; problem: string | null},
  {json}: {json?: boolean},
  terminal: Terminal,
): void {
  if (json === true) {
    terminal.out(`${JSON.stringify({type: 'reloaded', changes, problem})}\n`);
    return;
  }
  if (problem !== null) terminal.err(`The configuration was not reloaded: ${printable(problem)}\n`);
  else if (changes.length === 0) terminal.err('The configuration was read again; nothing differs.\n');
  else
    terminal.err(
      `The configuration was reloaded:\n${changes.map((line) => `  ${printable(line)}\n`).join('')}`,
    );
}

/** Its own checkout shows what Branchtab does and is no repository of a team: previews wait there unasked. */
async function agreeToMeet(
  meetings: readonly FirstMeeting[],
  signals: Signals,
  terminal: Terminal,
): Promise<boolean> {
  const checkout = ownCheckout();
  return askAboutFirstContact(
    meetings.filter(({census}) => census.repository !== checkout),
    {
      isTty: process.stdin.isTTY,
      terminal,
      confirm: () => Promise.race([isConfirmed('yes'), signals.next().then(() => false)]),
      signal: new AbortController().signal,
    },
  );
}

async function openLog(stateDirectory: string): Promise<Log> {
  await mkdir(stateDirectory, {recursive: true, mode: 0o700}).catch(() => {
    // Taking the lock reports a state directory that cannot be made, with what to do.
  });
  const path = join(stateDirectory, 'controller.log');
  await appendFile(path, '', {mode: 0o600}).catch(() => {
    // As above.
  });
  return createLog(
    (line) => appendFileSync(path, line),
    () => systemClock.now(),
  );
}

function announceLevel({provider: {level}}: ControllerProcess, {domain}: Config, terminal: Terminal): void {
  if (level === 'plain')
    terminal.err(
      "Containers run at level plain: jobs see this user's files and the workspace is not at /srv. Install bubblewrap for a sandbox (apt-get install bubblewrap).\n",
    );
  const lacksNames = level === 'plain' || (level === 'sandbox' && process.getuid?.() !== 0);
  if (domain === undefined || !lacksNames) return;
  const where = level === 'plain' ? '' : ' unless your user may bind ports 80 and 443';
  terminal.err(
    `At level ${level} jobs do not reach their own container as exec.${domain}, cron.${domain} and so on${where}; $HOODY_EXEC_URL and its like work. Level network has these names (apt-get install bubblewrap slirp4netns).\n`,
  );
}

async function asksToStopAll(
  {containers}: ControllerProcess,
  signals: Signals,
  terminal: Terminal,
): Promise<boolean> {
  const schedules = containers.list().filter(({state}) => state === 'running').length;
  if (schedules === 0) return false;
  terminal.err(
    `\n${schedules} schedule(s) keep running without the controller. Ctrl-C again within ${formatDuration(secondInterruptMs)} stops them; so does \`branchtab down\` at any time.\n`,
  );
  const answer = await Promise.race([signals.next(), systemClock.sleep(secondInterruptMs).then(() => null)]);
  if (answer !== 'SIGINT') return false;
  terminal.err('Stopping the schedules...\n');
  return true;
}

interface Signals {
  next(): Promise<NodeJS.Signals>;
  close(): void;
}

function receiveSignals(): Signals {
  const arrived: NodeJS.Signals[] = [];
  let wake = () => {};
  const onSignal = (signal: NodeJS.Signals) => {
    arrived.push(signal);
    wake();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  process.on('SIGHUP', onSignal);
  return {
    async next() {
      for (;;) {
        const signal = arrived.shift();
        if (signal !== undefined) return signal;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    close() {
      process.off('SIGINT', onSignal);
      process.off('SIGTERM', onSignal);
      process.off('SIGHUP', onSignal);
    },
  };
}

type Display = (running: ControllerProcess, terminal: Terminal) => () => void;

/** Redraws one table in place. */
const liveDisplay: Display = ({controller, url, loginLink}, terminal) => {
  const link = loginLink();
  let drawnLines = 0;
  let waiting = false;
  const closed = new AbortController();
  const {signal} = closed;
  const draw = () => {
    const branches = controller.branches();
    const table = branchTable(branches, {
      paint: terminal.paint,
      nowMs: systemClock.now(),
      columns: terminal.columns,
    });
    const text = `${terminal.paint.bold('Branchtab')} ${url}\n${terminal.paint.dim(`log in: ${link}`)}\n\n${branches.length === 0 ? emptyHint(controller) : table}${notices(controller, terminal)}`;
    terminal.out(`${drawnLines > 0 ? `\u001b[${drawnLines}A\u001b[J` : ''}${text}`);
    drawnLines = text.split('\n').length - 1;
  };
  draw();
  const drawAgain = async () => {
    for (;;) {
      await systemClock.sleep(redrawIntervalMs, {signal});
      draw();
    }
  };
  const drawSoon = async () => {
    if (waiting) return;
    waiting = true;
    await systemClock.sleep(settleMs, {signal});
    waiting = false;
    draw();
  };
  // Sleeps end with the display; anything else is a bug and must be seen.
  const untilClosed = (error: unknown) => {
    if (!signal.aborted) throw error;
  };
  void drawAgain().catch(untilClosed);
  const unsubscribe = controller.subscribe(() => void drawSoon().catch(untilClosed));
  return () => {
    closed.abort();
    unsubscribe();
  };
};

function notices(controller: Controller, terminal: Terminal): string {
  const text =
    repositoryNotices(controller.repositories(), terminal.paint) +
    problems(controller.branches(), terminal.paint) +
    hostNotices(controller.branches(), terminal.paint);
  return text === '' ? '' : `\n${text}`;
}

function emptyHint(controller: Controller): string {
  const branches = controller.repositories().reduce((sum, repository) => sum + repository.branches, 0);
  return `No branch of ${branches} has a .hoody directory. Run \`branchtab init\` in the repository and commit the result; it is picked up at once.\n`;
}

/** One line for every change, for logs and pipes. */
const plainDisplay: Display = ({controller, url, loginLink}, terminal) => {
  terminal.out(`Branchtab ${url}\nlog in: ${loginLink()}\n`);
  if (controller.branches().length === 0) terminal.out(emptyHint(controller));
  return onBranchLines(controller, (branch, line) => terminal.out(`${printable(branch.branch)} ${line}\n`));
};

/** One JSON object for every change. */
const jsonDisplay: Display = ({controller, url, loginLink}, terminal) => {
  terminal.out(`${JSON.stringify({type: 'started', url, login: loginLink()})}\n`);
  return onBranchLines(controller, (branch) => terminal.out(`${JSON.stringify({type: 'branch', branch})}\n`));
};

function onBranchLines(controller: Controller, print: (branch: Branch, line: string) => void): () => void {
  const printed = new Map<string, string>();
  const show = (branch: Branch) => {
    const line = branchLine(branch);
    if (printed.get(branch.key) === line) return;
    printed.set(branch.key, line);
    print(branch, line);
  };
  for (const branch of controller.branches()) show(branch);
  return controller.subscribe(({type, key}) => {
    if (type === 'branch_forgotten') {
      printed.delete(key);
      return;
    }
    const branch = branchOf(controller, key);
    if (branch !== null) show(branch);
  });
}

/** One branch, not the whole list: changes come several for each push, and there may be thousands of branches. */
function branchOf(controller: Controller, key: string): Branch | null {
  try {
    return controller.branch(key);
  } catch (error) {
    // It was forgotten since; that is an event of its own.
    if (error instanceof AppError && error.code === 'BRANCH_NOT_FOUND') return null;
    throw error;
  }
}

function branchLine(branch: Branch): string {
  const ready = branch.conditions.find(({type}) => type === 'Ready');
  const state = `${branch.container?.id ?? 'no container'} ${branch.container?.state ?? ''}`.trim();
  const next = branch.next_run === null ? '' : ` next run ${branch.next_run.at}`;
  const last =
    branch.last_run === null ? '' : ` last run ${branch.last_run.status} ${branch.last_run.scheduled_at}`;
  return `${branch.observed_revision?.slice(0, 8) ?? '-'} ${state}: ${printable(ready?.message ?? 'waiting')}${next}${last}`;
}

import {readFile} from 'node:fs/promises';
import {ZodError} from 'zod';
import {code} from '../../reconciler/reports/markdown.ts';
import {planLines, planMarkdown} from '../../reconciler/reports/plan-markdown.ts';
import type {LocalSource} from '../../reconciler/sources/git-local.ts';
import type {Clock} from '../../runtime/platform/clock.ts';
import {AppError} from '../../schemas/errors.ts';
import type {ScheduleChange} from '../../schemas/schedule-change.ts';
import type {Environment} from '../settings.ts';
import {openCheckout, planOf} from './checkout.ts';
import {deployToContainer, emptyContainer} from './container-mode.ts';
import {deployByController} from './controller-mode.ts';
import {type Subject, subjectOf} from './event.ts';
import {type Inputs, readInputs} from './inputs.ts';
import type {JobOutput} from './job-output.ts';
import type {Outcome} from './outcome.ts';

interface StepContext {
  readonly environment: Environment;
  readonly output: JobOutput;
  readonly clock: Clock;
}

/** The step of a workflow, from its inputs and the event to its outputs. True where it succeeded. */
export async function runStep(context: StepContext): Promise<boolean> {
  const {environment, output} = context;
  try {
    const inputs = readInputs(environment);
    for (const secret of [inputs.token, inputs.containerUrl]) if (secret !== null) output.hide(secret);
    const subject = await readSubject(environment);
    const outcome = await carryOut(subject, inputs, context);
    await output.set('state', outcome.state);
    if (outcome.warning !== undefined) output.warning(outcome.warning);
    else if (outcome.notice !== undefined) output.notice(outcome.notice);
    else if (outcome.isFailure) output.error(outcome.message);
    else output.say(outcome.message);
    return !outcome.isFailure;
  } catch (error) {
    await output.set('state', 'failed');
    output.error(wordsOf(error));
    return false;
  }
}

function wordsOf(error: unknown): string {
  if (error instanceof AppError) return error.message;
  if (error instanceof ZodError)
    return `The answer or the event is not one that is understood: ${error.message}`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

async function readSubject(environment: Environment): Promise<Subject> {
  const {
    GITHUB_EVENT_NAME: name,
    GITHUB_EVENT_PATH: path,
    GITHUB_REF: ref = '',
    GITHUB_SHA: sha = '',
  } = environment;
  if (name === undefined || path === undefined)
    throw new AppError(
      'CONFIG_INVALID',
      'This is a step of a GitHub workflow; GITHUB_EVENT_NAME is not set.',
    );
  try {
    return subjectOf({name, ref, sha, payload: JSON.parse(await readFile(path, 'utf8'))});
  } catch (cause) {
    throw new AppError('CONFIG_INVALID', `The event ${name} cannot be read from GITHUB_EVENT_PATH.`, {cause});
  }
}

const skipped = (message: string): Outcome => ({
  state: 'skipped',
  message,
  isFailure: false,
  notice: message,
});

async function carryOut(subject: Subject, inputs: Inputs, context: StepContext): Promise<Outcome> {
  if (subject.kind === 'nothing') return skipped(`Nothing to do: ${subject.why}.`);
  const {command} = inputs;
  if (command === 'plan')
    return subject.kind === 'gone'
      ? skipped('Nothing to plan: the branch is gone, or its pull request is closed.')
      : planStep(subject, inputs, context);
  if (subject.isFork)
    return skipped('Nothing to do: branches of forks get no container. `command: plan` works for them.');
  if (command === 'teardown' || subject.kind === 'gone')
    return teardown(subject.branch, {isAsked: command === 'teardown'}, inputs, context);
  return deploy(subject, inputs, context);
}

async function planStep(
  subject: Extract<Subject, {kind: 'branch'}>,
  inputs: Inputs,
  {environment, output, clock}: StepContext,
): Promise<Outcome> {
  const source = await openCheckout(environment, clock);
  try {
    const issues = await writePlan(source, subject, inputs, {output, clock});
    if (issues === 0) return {state: 'planned', message: 'The plan is in the summary.', isFailure: false};
    return {state: 'stalled', message: `The branch would stall: ${issues} error(s).`, isFailure: true};
  } finally {
    await source.close();
  }
}

/** Writes the plan to output and summary; answers how many errors it names, which are marked in the files. */
async function writePlan(
  source: LocalSource,
  subject: Extract<Subject, {kind: 'branch'}>,
  {path, timeZone}: Inputs,
  {output, clock, heading = ''}: {output: JobOutput; clock: Clock; heading?: string},
): Promise<number> {
  const {change, isAlone} = await planOf(source, subject, {path, timeZone, clock});
  const markdown = subject.isMerge ? planMarkdown(change) : scheduleMarkdown(change, isAlone);
  if (isAlone)
    output.notice(
      'No commit to compare with is in this checkout, so that all jobs show as added: give actions/checkout `fetch-depth: 0`.',
    );
  await output.set('plan', markdown);
  await output.summarize(`${heading}${markdown}`);
  for (const issue of change.issues) output.annotate('error', issue);
  for (const warning of change.warnings) output.annotate('warning', warning);
  return change.issues.length;
}

async function deploy(
  subject: Extract<Subject, {kind: 'branch'}>,
  inputs: Inputs,
  context: StepContext,
): Promise<Outcome> {
  const {environment, output, clock} = context;
  const {controller, containerUrl} = inputs;
  const {branch, commit} = subject;
  const source = await openCheckout(environment, clock).catch((error: unknown) => {
    // A controller has the repository itself; only the plan is lost.
    if (controller !== null && error instanceof AppError) return null;
    throw error;
  });
  try {
    let outcome: Outcome;
    if (controller !== null)
      outcome = await deployByController({branch, commit, controller}, inputs, context);
    else if (source !== null && containerUrl !== null)
      outcome = await deployToContainer(source, {revision: subject.head, containerUrl}, inputs, context);
    else throw new Error('the inputs name a controller or a container');
    const heading = headingOf(branch, commit.slice(0, 8), outcome);
    const shown = await summarizePlan(source, subject, inputs, {...context, heading});
    if (!shown) await output.summarize(heading);
    return outcome;
  } finally {
    await source?.close();
  }
}

/** Of a push, which is merged into nothing. */
function scheduleMarkdown(change: ScheduleChange, isAlone: boolean): string {
  const heading = isAlone ? '### Schedule' : `### Schedule since ${code(change.base.name)}`;
  return [heading, '', ...planLines(change), ''].join('\n');
}

const mostMessageCharacters = 2000;

function headingOf(branch: string, where: string, {state, message}: Outcome): string {
  const lines = message.split('\n').map((line) => code(line, mostMessageCharacters));
  return `## ${code(branch)} ${where}: ${state}\n\n${lines.join('\n\n')}\n\n`;
}

/** False where there is no plan to show: that is no reason to fail. */
async function summarizePlan(
  source: LocalSource | null,
  subject: Extract<Subject, {kind: 'branch'}>,
  inputs: Inputs,
  {output, clock, heading}: StepContext & {heading: string},
): Promise<boolean> {
  if (source === null) {
    output.notice(
      'There is no plan in the summary: the job has no checkout of the repository (actions/checkout).',
    );
    return false;
  }
  // What is wrong in the files was marked by whoever refused them.
  const quiet = {...output, annotate: () => {}};
  try {
    await writePlan(source, subject, inputs, {output: quiet, clock, heading});
    return true;
  } catch (error) {
    output.notice(`There is no plan in the summary: ${wordsOf(error)}`);
    return false;
  }
}

async function teardown(
  branch: string,
  {isAsked}: {isAsked: boolean},
  inputs: Inputs,
  context: StepContext,
): Promise<Outcome> {
  const {controller, containerUrl} = inputs;
  let outcome: Outcome;
  if (controller !== null)
    outcome = await deployByController({branch, commit: null, controller}, inputs, context);
  else if (containerUrl !== null) outcome = await emptyContainer(containerUrl, inputs);
  else throw new Error('the inputs name a controller or a container');
  await context.output.summarize(headingOf(branch, 'deleted', outcome));
  // Nobody asked for it by name: a pull request may be closed and its branch go on.
  if (outcome.state === 'still_there' && !isAsked)
    return {...outcome, isFailure: false, notice: outcome.message};
  return outcome;
}

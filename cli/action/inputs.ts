import {wholeRepository} from '../../schemas/branch-name.ts';
import {durationSchema} from '../../schemas/duration.ts';
import {AppError} from '../../schemas/errors.ts';
import {scriptPathSchema} from '../../schemas/exec-api.ts';
import {isTimeZone} from '../../schemas/schedule/zone.ts';
import type {Environment} from '../settings.ts';

const commands = ['deploy', 'plan', 'teardown'] as const;

/** What the step of a workflow says under `with`. */
export interface Inputs {
  readonly command: (typeof commands)[number];
  /** Null where there is none, without a final slash otherwise. */
  readonly controller: string | null;
  readonly containerUrl: string | null;
  readonly token: string | null;
  /** For whom a token of the job is made; the controller unless given. */
  readonly audience: string | null;
  readonly wait: boolean;
  readonly timeoutMs: number;
  /** Directory with the `.hoody` that is meant; null where none was named. */
  readonly path: string | null;
  readonly timeZone: string;
}

/** GitHub sets `INPUT_<NAME>` for each, hyphens kept. Throws CONFIG_INVALID with the name of the input. */
export function readInputs(environment: Environment): Inputs {
  const input = (name: string) => environment[`INPUT_${name.toUpperCase()}`]?.trim() ?? '';
  const text = (name: string) => input(name) || null;
  const command = commands.find((each) => each === (input('command') || 'deploy'));
  if (command === undefined) throw invalid('command', `write one of ${commands.join(', ')}`);
  const inputs = {
    command,
    controller: addressOf('controller', input('controller')),
    containerUrl: addressOf('container-url', input('container-url')),
    token: text('token'),
    audience: text('audience'),
    wait: flagOf('wait', input('wait') || 'true'),
    timeoutMs: durationOf('timeout', input('timeout') || '5m'),
    path: pathOf(input('path')),
    timeZone: input('timezone') || 'UTC',
  };
  if (!isTimeZone(inputs.timeZone)) throw invalid('timezone', 'write a time zone such as Europe/Berlin');
  if (inputs.controller !== null && inputs.containerUrl !== null)
    throw invalid('container-url', 'name a controller or a container, not both');
  if (command !== 'plan' && inputs.controller === null && inputs.containerUrl === null)
    throw invalid('controller', `\`${command}\` needs the address of a controller, or container-url`);
  return inputs;
}

function invalid(name: string, what: string): AppError {
  return new AppError('CONFIG_INVALID', `The input ${name}: ${what}.`);
}

function addressOf(name: string, text: string): string | null {
  if (text === '') return null;
  if (!URL.canParse(text) || !/^https?:\/\//i.test(text))
    throw invalid(name, 'write an address as https://...');
  const {origin, pathname, username, search, hash} = new URL(text);
  if (username !== '' || search !== '' || hash !== '')
    throw invalid(name, 'write the address alone, without user, query and fragment');
  return `${origin}${pathname}`.replace(/\/+$/, '');
}

function flagOf(name: string, text: string): boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  throw invalid(name, 'write true or false');
}

function durationOf(name: string, text: string): number {
  const parsed = durationSchema.safeParse(text);
  if (parsed.success) return parsed.data;
  throw invalid(name, 'write a duration as 30s, 5m or 1h');
}

function pathOf(text: string): string | null {
  const path = text.replace(/^\.\//, '').replace(/\/+$/, '');
  if (path === '' || path === wholeRepository) return null;
  if (scriptPathSchema.safeParse(path).success) return path;
  throw invalid('path', 'write a directory from the top of the repository, such as services/billing');
}

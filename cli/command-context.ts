import type {Command} from 'commander';
import type {ExitCode} from './exit-codes.ts';
import type {Environment} from './settings.ts';
import type {Terminal} from './terminal.ts';

/** What the words of the command line are made with. */
export interface CommandContext {
  /** Adds the options of commands that talk to a controller. */
  readonly client: (command: Command) => Command;
  readonly environment: Environment;
  readonly terminal: Terminal;
  readonly finish: (code: ExitCode) => void;
}

import type {JobRequest} from '../platform/job-process.ts';
import type {Entry} from './entry.ts';
import type {GivenEnvironment} from './job-runner.ts';
import type {CronUser} from './users.ts';

/** Kept of the beginning and again of the end of each output. */
const keptBytes = 32 * 1024;

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The environment is the container's, then what cron sets, then the lines of the crontab; the user's name is fixed. */
export function jobRequest(
  {job}: Entry,
  {name, account}: CronUser,
  options: {dataDirectory: string; shell: string; given: GivenEnvironment},
): JobRequest {
  const {dataDirectory, shell, given} = options;
  const environment = {
    PATH: defaultPath,
    ...given.variables,
    HOME: dataDirectory,
    SHELL: shell,
    ...job.environment,
    LOGNAME: name,
    USER: name,
  };
  return {
    command: [environment.SHELL || shell, '-c', job.command],
    directory: environment.HOME || dataDirectory,
    environment,
    stdin: job.stdin,
    identity: account,
    keptBytes,
    mask: given.mask,
  };
}

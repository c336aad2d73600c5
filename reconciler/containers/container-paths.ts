import {createHash} from 'node:crypto';
import {join} from 'node:path';
import {fitsSockets} from '../../runtime/platform/socket-paths.ts';

/**
 * The directory of one container:
 *
 *   container.json   the record, see container-record.ts
 *   data/            HOME and working directory of jobs and scripts; persistent
 *   srv/             the branch's tree
 *   runtime/         the runtime's own store
 *   run/             where the runtime makes its socket
 *   control.sock     second name of that socket, see `linkControlSocket`
 *   hosts            /etc/hosts of a sandbox
 *   resolv.conf      /etc/resolv.conf of a sandbox with a network of its own
 *   authorities.crt  those that programs in a sandbox trust, where there is a domain
 *   runtime.log      standard error of the runtime
 *   network.log      that of the program that connects its network
 */
export interface ContainerPaths {
  readonly directory: string;
  readonly data: string;
  readonly workspace: string;
  readonly store: string;
  /** Written by the runtime: which tree `workspace` holds. */
  readonly workspaceRecord: string;
  readonly hosts: string;
  readonly resolver: string;
  readonly authorities: string;
  readonly runtimeLog: string;
  readonly networkLog: string;
  /** Directory of `control.sock` and `run/`: the container's own, or a short one elsewhere. */
  readonly socketHome: string;
  /** True where `socketHome` is not inside `directory`. */
  readonly socketsElsewhere: boolean;
  readonly run: string;
  readonly runtimeSocket: string;
  readonly controlSocket: string;
}

export function containerPaths(containersDirectory: string, id: string, socketRoot: string): ContainerPaths {
  const directory = join(containersDirectory, id);
  const socketsElsewhere = !fitsSockets(join(directory, 'run'));
  const socketHome = socketsElsewhere ? join(socketRoot, shortHash(directory)) : directory;
  return {
    directory,
    data: join(directory, 'data'),
    workspace: join(directory, 'srv'),
    store: join(directory, 'runtime'),
    workspaceRecord: join(directory, 'runtime', 'workspace.json'),
    hosts: join(directory, 'hosts'),
    resolver: join(directory, 'resolv.conf'),
    authorities: join(directory, 'authorities.crt'),
    runtimeLog: join(directory, 'runtime.log'),
    networkLog: join(directory, 'network.log'),
    socketHome,
    socketsElsewhere,
    run: join(socketHome, 'run'),
    runtimeSocket: join(socketHome, 'run', 'control.sock'),
    controlSocket: join(socketHome, 'control.sock'),
  };
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

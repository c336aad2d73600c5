import type {Log} from '../../../runtime/platform/log.ts';
import {createSerialLock} from '../../../runtime/platform/serial-lock.ts';
import type {Entry} from '../container-table.ts';
import {linkControlSocket} from '../control-socket.ts';
import {commandInside, placesInside, type RuntimeProgram} from '../inside.ts';
import {type Incus, type IncusFacts, type Instance, isHere} from './incus.ts';
import type {IncusRecord} from './incus-record.ts';
import {carrySocket, type SocketCarrier} from './socket-carrier.ts';

export interface ControlSocketsOptions {
  readonly incus: Incus;
  readonly facts: IncusFacts;
  readonly program: RuntimeProgram;
  readonly log: Log;
}

/** How the control sockets of containers are reached, wherever these run. */
export class ControlSockets {
  readonly #options: ControlSocketsOptions;
  readonly #carriers = new Map<string, SocketCarrier>();
  /** Whoever looks and whoever starts may want the same socket at once: one that nobody knows would listen for ever. */
  readonly #turn = createSerialLock();
  #isClosed = false;

  constructor(options: ControlSocketsOptions) {
    this.#options = options;
  }

  /** True where files of this machine can be an instance's: it runs here, and we may give them to its root. */
  isMounted(instance: Instance): boolean {
    return isHere(instance, this.#options.facts) && process.getuid?.() === 0;
  }

  /** Makes the container's socket lead to its runtime, which was started just now. */
  async open({record, paths}: Entry<IncusRecord>, instance: Instance): Promise<void> {
    if (this.isMounted(instance)) await linkControlSocket(record.name, paths);
    else await this.carry({record, paths}, instance);
  }

  /** Makes the socket of a container whose files are not of this machine lead there, unless it does already. */
  async carry(
    {record: {id}, paths}: Pick<Entry<IncusRecord>, 'record' | 'paths'>,
    instance: Instance,
  ): Promise<void> {
    const {incus, program, log} = this.#options;
    if (this.isMounted(instance)) return;
    await this.#turn(async () => {
      if (this.#isClosed || this.#carriers.get(id)?.instance === instance.name) return;
      this.leave(id);
      const carrier = await carrySocket(incus, {
        path: paths.controlSocket,
        instance: instance.name,
        command: [...commandInside(program), 'connect', placesInside.runtimeSocket],
        log,
      });
      if (this.#isClosed) carrier.close();
      else this.#carriers.set(id, carrier);
    });
  }

  leave(id: string): void {
    this.#carriers.get(id)?.close();
    this.#carriers.delete(id);
  }

  close(): void {
    this.#isClosed = true;
    for (const id of [...this.#carriers.keys()]) this.leave(id);
  }
}

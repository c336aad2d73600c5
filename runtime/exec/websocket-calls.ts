import {randomUUID} from 'node:crypto';
import {AppError} from '../../schemas/errors.ts';
import type {UpgradeSocket} from '../platform/upgrade-socket.ts';
import {type Call, callHeader, encodeCall} from './call.ts';
import {type CallsOptions, refuseWithoutToken, type ScriptCall} from './calls.ts';
import type {HostLease} from './host-pool.ts';
import {type PreparedCall, prepareCall, refuseUnparsable} from './prepared-call.ts';
import {maskToken} from './script-token.ts';

export interface WebsocketCalls {
  /** Connections that are open now. */
  openCount(): number;
  /** Connects a client with the websocket script of its path. Never rejects. */
  connect(call: ScriptCall, socket: UpgradeSocket): Promise<void>;
}

/** A websocket script is called once for each connection; the record ends with the connection. */
export function createWebsocketCalls({recorder, destinationOf, log}: CallsOptions): WebsocketCalls {
  let open = 0;

  async function lease({ground: here, script}: PreparedCall): Promise<HostLease> {
    return here.pool.lease({
      generation: here.generation,
      start: here.start,
      file: script.ref.file,
      // A connection lasts as long as its two ends like.
      timeoutMs: null,
      isolated: script.options.isolated,
      onTimeout: () => {},
      onStuck: () => {},
    });
  }

  async function connect(prepared: PreparedCall, call: ScriptCall, socket: UpgradeSocket): Promise<void> {
    const {script, route, ground: here} = prepared;
    refuseUnparsable(prepared);
    refuseWithoutToken(prepared, call);
    if (!script.options.websocket || script.options.mode !== 'worker') {
      const message = `${route.file} takes no websockets. Write \`// @websocket\` and \`// @mode worker\` above its code.`;
      throw new AppError('SCRIPT_NOT_UPGRADABLE', message);
    }
    const id = randomUUID();
    const leased = await lease(prepared);
    recorder.begin(
      {
        id,
        script: route.file,
        method: 'WEBSOCKET',
        url: maskToken(call.target),
        client_ip: call.clientIp,
        commit: here.commit,
        deployment: here.set.deployment.digest,
        run_id: null,
        warnings: script.compiled.warnings,
        request_headers: null,
      },
      script.options.log,
      here.mask,
    );
    open += 1;
    try {
      const path = await leased.host.openSockets();
      leased.answering();
      await socket.join(path, upgradeHead(call, hostCall(prepared, id, call.clientIp, leased.call.slot)));
    } finally {
      open -= 1;
      leased.release();
      const nothing = {httpStatus: null, responseBytes: null, requestBody: null, responseBody: null};
      recorder.end(id, {...nothing, status: 'succeeded', error: null});
    }
  }

  return {
    openCount: () => open,
    async connect(call, socket) {
      try {
        await connect(await prepareCall(await destinationOf(call)), call, socket);
      } catch (error) {
        if (!(error instanceof AppError)) log.error('a websocket failed on our side', {error});
        const known =
          error instanceof AppError
            ? error
            : new AppError('INTERNAL_ERROR', 'Something went wrong on our side; the log has the details.');
        socket.refuse(known);
      }
    },
  };
}

function hostCall(
  {script, route, ground, destination}: PreparedCall,
  id: string,
  clientIp: string,
  slot: number,
): Call {
  return {
    executionId: id,
    slot,
    script: script.ref,
    pre: null,
    post: null,
    parameters: route.parameters,
    target: destination.target,
    clientIp,
    rawBody: false,
    awaitsPromises: true,
    environmentFiles: ground.set.neighbours(route.file).environmentFiles,
  };
}

/** The client's own request, with the call instead of what it may have said about one. */
function upgradeHead({request: {headers}}: ScriptCall, call: Call): string {
  let head = `GET / HTTP/1.1\r\n${callHeader}: ${encodeCall(call)}\r\n`;
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at] ?? '';
    if (name.toLowerCase() !== callHeader) head += `${name}: ${headers[at + 1]}\r\n`;
  }
  return `${head}\r\n`;
}

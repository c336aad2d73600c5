import {serveWebsockets} from '../platform/websocket-server.ts';
import {type Call, callHeader, decodeCall} from './call.ts';
import {type CallContext, metadataOf} from './call-context.ts';
import {createCallOutput} from './call-output.ts';
import {markRunning, reportFailure, type ScriptHost} from './hosted-call.ts';
import {runCall} from './run-script.ts';
import {createScriptSocket, type ScriptSocket} from './script-socket.ts';

/** Close codes of RFC 6455. */
const closeCodes = {refused: 1008, failed: 1011} as const;

/** Runs a websocket script once for each connection; it then lives by the listeners that it has set on `ws`. */
export function serveScriptSockets(socketPath: string, host: ScriptHost): void {
  serveWebsockets(socketPath, (request, raw) => {
    const call = receiveCall(host, request.headers.get(callHeader));
    request.headers.delete(callHeader);
    if (call === null) {
      const refused = createScriptSocket(raw, () => {});
      raw.close(closeCodes.refused, 'Websockets come through the runtime.');
      return refused;
    }
    const control = createScriptSocket(raw, (error) => {
      reportFailure(host, call, error);
      raw.close(closeCodes.failed, 'The script failed.');
    });
    const output = createCallOutput(call.executionId, host.send);
    let context: CallContext | null = null;
    let isClosed = false;
    /** What comes before the script runs is kept for it. */
    const inCall = (act: () => unknown) =>
      context === null ? act() : host.current.run(context, () => markRunning(host, call, act));
    const begin = async () => {
      const environment = await host.environment.read(call.environmentFiles);
      if (isClosed) return;
      const begun = {call, names: namesOf(host, call, request, control.socket), output, environment};
      context = begun;
      await host.current.run(begun, () => open(host, begun, control.socket));
    };
    begin().catch(control.failed);
    return {
      message: (data) => inCall(() => control.message(data)),
      closed(code, reason) {
        isClosed = true;
        inCall(() => control.closed(code, reason));
        output.flush();
        host.slots.end(call.slot);
        host.send({type: 'closed', executionId: call.executionId});
      },
    };
  });
}

/** Null for a call that the runtime has given to another host meanwhile, and for what does not come from it. */
function receiveCall({slots}: ScriptHost, header: unknown): Call | null {
  try {
    const call = decodeCall(header);
    return slots.start(call.slot) ? call : null;
  } catch {
    // A script that speaks to the socket itself gets no answer.
    return null;
  }
}

/** What the script returns is sent as the first message. */
async function open(host: ScriptHost, {call, names}: CallContext, ws: ScriptSocket): Promise<void> {
  const answer = await runCall({host, call, names, exchange: null});
  if (answer !== undefined && answer !== null) ws.send(answer);
}

function namesOf(host: ScriptHost, call: Call, request: Request, ws: ScriptSocket): CallContext['names'] {
  const req = {method: 'GET', url: call.target, headers: Object.fromEntries(request.headers)};
  return {req, res: undefined, metadata: metadataOf(call, 'GET'), shared: host.shared, ws};
}

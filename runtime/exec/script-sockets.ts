import {serveWebsockets} from '../platform/websocket-server.ts';
import {type Call, callHeader, decodeCall} from './call.ts';
import {type CallContext, metadataOf} from './call-context.ts';
import {createCallOutput} from './call-output.ts';
import {reportFailure, type ScriptHost} from './hosted-call.ts';
import {runCall} from './run-script.ts';
import {createScriptSocket, type ScriptSocket} from './script-socket.ts';

/** Close codes of RFC 6455. */
const closeCodes = {refused: 1008, failed: 1011} as const;

/** Runs a websocket script once for each connection; it then lives by the listeners that it has set on `ws`. */
export function serveScriptSockets(socketPath: string, host: ScriptHost): void {
  serveWebsockets(socketPath, (request, raw) => {
    const call = receiveCall(host, request.headers.get(callHeader));
    request.headers.delete(callHeader);
    const control = createScriptSocket(raw, (error) => {
      if (call !== null) reportFailure(host, call, error);
      raw.close(closeCodes.failed, 'The script failed.');
    });
    if (call === null) {
      raw.close(closeCodes.refused, 'Websockets come through the runtime.');
      return control;
    }
    const context = contextOf(host, call, request, control.socket);
    const inCall = (act: () => unknown) => host.current.run(context, act);
    inCall(() => open(host, context, control.socket).catch(control.failed));
    return {
      message: (data) => inCall(() => control.message(data)),
      closed(code, reason) {
        inCall(() => control.closed(code, reason));
        context.output.flush();
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

function contextOf(host: ScriptHost, call: Call, request: Request, ws: ScriptSocket): CallContext {
  const req = {method: 'GET', url: call.target, headers: Object.fromEntries(request.headers)};
  const metadata = metadataOf(call, 'WEBSOCKET_INIT');
  const output = createCallOutput(call.executionId, host.send);
  return {call, names: {req, res: undefined, metadata, shared: host.shared, ws}, output, environment: null};
}

import {systemClock} from '../../runtime/platform/clock.ts';
import {createJobOutput} from './job-output.ts';
import {runStep} from './step.ts';

const output = createJobOutput(process.env, (text) => process.stdout.write(text));
const succeeded = await runStep({environment: process.env, output, clock: systemClock});
// What waits for an answer that nobody needs any more must not keep the job.
process.exitCode = succeeded ? 0 : 1;

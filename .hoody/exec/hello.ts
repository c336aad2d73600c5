// Answers /hello, /scripts/hello and /scripts/hello/run. What it returns is the answer.
const name = metadata.query.name ?? 'world';
return {hello: name, branch: process.env.HOODY_BRANCH, commit: process.env.HOODY_COMMIT};

// Says of manifests what the definitions say that npm's @kubernetes-models publishes: a line for each.
//
//   node check.mjs MODULES < MANIFESTS        MODULES: the node_modules; MANIFESTS: a list in JSON
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const load = (path) => import(pathToFileURL(join(process.argv[2], "@kubernetes-models", path, "index.js")).href);
const kinds = {
  ...(await load("istio/extensions.istio.io/v1alpha1")),
  ...(await load("envoy-gateway/gateway.envoyproxy.io/v1alpha1")),
};

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
for (const manifest of JSON.parse(Buffer.concat(chunks))) {
  let says = "good";
  try {
    if (!kinds[manifest.kind]) throw new Error(`no definition of ${manifest.kind}`);
    new kinds[manifest.kind](manifest).validate();
  } catch (error) {
    says = error.message.replaceAll("\n", " ");
  }
  console.log(`${manifest.kind} ${manifest.metadata.name}: ${says}`);
}

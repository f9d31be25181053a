// Draws the schema of the REST API. Only to read: no call is sent from here.
"use strict";

// Swagger UI's own layout is a page with a head and a <main>; this page has both.
const onlyCalls = ({ React, getComponent }) => ({
  components: {
    Calls: () => {
      const part = (name) => React.createElement(getComponent(name, true));
      return React.createElement("div", { className: "swagger-ui" }, part("errors"), part("FilterContainer"), part("operations"));
    },
  },
});

const place = document.getElementById("reference");
SwaggerUIBundle({
  domNode: place,
  url: place.dataset.schema,
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [onlyCalls],
  layout: "Calls",
  docExpansion: "none",
  filter: true,
  supportedSubmitMethods: [],
  validatorUrl: null,
});

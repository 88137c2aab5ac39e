"""A Streamlit app of one line."""

import streamlit

streamlit.write("hello")
